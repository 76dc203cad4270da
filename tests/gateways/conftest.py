"""The gateways, each with a verifier of its own behind it and one application behind all."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import structlog

from gateways.population import Population
from gateways.proxies import STARTS, Gateway, Ports, free_port
from gateways.upstream import Upstream
from gateways.verifier import RunningVerifier
from keywright import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def exceptions_without_values() -> Iterator[None]:
    """The log as the verifier's process writes it: structlog's own shows requests, and the keys in them."""
    structlog.configure(processors=[logs._describe_exception, structlog.processors.JSONRenderer()])
    yield
    structlog.reset_defaults()


@pytest.fixture(scope="session")
def population() -> Population:
    """The objects that the verifiers know."""
    return Population()


@pytest.fixture(scope="session")
def upstream(population: Population) -> Iterator[Upstream]:
    """The application; `received` holds what reached it."""
    running = Upstream(population.hide)
    yield running
    running.stop()


@pytest.fixture(scope="session", params=STARTS)
def gateway_name(request: pytest.FixtureRequest) -> str:
    """Each gateway in turn."""
    return str(request.param)


@pytest.fixture(scope="session")
def verifier(gateway_name: str, population: Population) -> Iterator[RunningVerifier]:
    """A verifier as this gateway needs it."""
    url = gateway_name == "ingress-nginx"
    running = RunningVerifier(population, path_header="x-original-url" if url else "x-original-uri")
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway(
    gateway_name: str,
    verifier: RunningVerifier,
    upstream: Upstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    """A gateway as it is shipped, in front of the application."""
    ports = Ports(own=free_port(), verifier=verifier.port, app=upstream.port)
    running = STARTS[gateway_name](tmp_path_factory.mktemp(gateway_name), ports)
    yield running
    running.stop()


@pytest.fixture(scope="session")
def gateway_without_verifier(
    gateway_name: str, upstream: Upstream, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Gateway]:
    """A gateway whose verifier is away."""
    ports = Ports(own=free_port(), verifier=free_port(), app=upstream.port)
    running = STARTS[gateway_name](tmp_path_factory.mktemp(gateway_name), ports)
    yield running
    running.stop()
