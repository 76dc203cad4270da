"""Whom to ask for usage: each verifier by its own address."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keywright.controller import usage_targets
from keywright.controller.ports import Service, UsageOptions

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

OPTIONS = UsageOptions(token_file=Path("/t"), service=Service("system", "verifiers"))


class Slices:
    """A Client that lists EndpointSlices."""

    def __init__(self, *slices: dict[str, Any]) -> None:
        self._slices = slices
        self.asked: list[tuple[str, dict[str, str]]] = []

    async def pages(
        self, path: str, query: dict[str, str], *, whole: bool
    ) -> AsyncIterator[dict[str, list[Any]]]:
        assert whole
        self.asked.append((path, query))
        for one in self._slices:
            yield {"items": [one]}


def endpoints(*addresses: str, **conditions: bool) -> list[dict[str, Any]]:
    return [{"addresses": [address], "conditions": conditions} for address in addresses]


def slice_of(*found: dict[str, Any], port: Any = 8082, name: str = "ops") -> dict[str, Any]:
    ports = [{"name": "http", "port": 8080}, {"name": name, "port": port}]
    return {"addressType": "IPv4", "ports": ports, "endpoints": list(found)}


async def find(*slices: dict[str, Any]) -> list[str]:
    return await usage_targets.find(Slices(*slices), OPTIONS)  # type: ignore[arg-type]


async def test_those_that_are_named_are_asked_and_no_others() -> None:
    client = Slices(slice_of(*endpoints("10.0.0.1")))
    options = UsageOptions(token_file=Path("/t"), service=OPTIONS.service, urls=("https://v:1",))
    assert ["https://v:1"] == await usage_targets.find(client, options)  # type: ignore[arg-type]
    assert [] == client.asked


async def test_the_endpoints_of_the_service_are_asked_at_its_port_named_ops() -> None:
    client = Slices(slice_of(*endpoints("10.0.0.2", "10.0.0.1")), slice_of(*endpoints("2001:db8::1")))
    found = await usage_targets.find(client, OPTIONS)  # type: ignore[arg-type]
    assert ["http://10.0.0.1:8082", "http://10.0.0.2:8082", "http://[2001:db8::1]:8082"] == found
    path = "/apis/discovery.k8s.io/v1/namespaces/system/endpointslices"
    assert [(path, {"labelSelector": "kubernetes.io/service-name=verifiers"})] == client.asked


async def test_a_pod_with_two_addresses_is_asked_once() -> None:
    pod = {"kind": "Pod", "uid": "p1"}
    both = [{**one, "targetRef": pod} for one in endpoints("10.0.0.1", "2001:db8::1")]
    assert ["http://10.0.0.1:8082"] == await find(slice_of(both[0]), slice_of(both[1]))


@pytest.mark.parametrize(
    ("conditions", "asked"),
    [
        ({}, True),
        ({"ready": True}, True),
        ({"ready": False}, False),
        ({"ready": False, "serving": True, "terminating": True}, True),
        ({"ready": False, "serving": False}, False),
    ],
    ids=str,
)
async def test_one_that_serves_is_asked_until_it_ends(conditions: dict[str, bool], *, asked: bool) -> None:
    assert asked == bool(await find(slice_of(*endpoints("10.0.0.1", **conditions))))


@pytest.mark.parametrize(
    "one",
    [
        slice_of(*endpoints("verifier.example.com")),
        slice_of(*endpoints("10.0.0.1"), name="metrics"),
        slice_of(*endpoints("10.0.0.1"), port=None),
        slice_of({"addresses": []}),
        {},
        {"ports": None, "endpoints": None},
    ],
    ids=str,
)
async def test_what_is_no_address_with_that_port_is_left_out(one: dict[str, Any]) -> None:
    assert [] == await find(one)


async def test_not_more_are_asked_than_anybody_runs() -> None:
    many = endpoints(*(f"10.0.{number // 256}.{number % 256}" for number in range(2000)))
    assert usage_targets.MOST == len(await find(slice_of(*many)))
