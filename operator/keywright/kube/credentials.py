"""How we get to the API server: the official client finds, reads and refreshes every kind of credential.

Precedence: the kubeconfig given; else the ServiceAccount of the pod; else `$KUBECONFIG` or
`~/.kube/config`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import aiohttp
import yaml
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from collections.abc import Callable

# Typed only in part.
_client: Any = kubernetes_client
_config: Any = kubernetes_config

USER_AGENT = "keywright"  # also the manager in managedFields of what it writes
AGAIN_AFTER = 5.0  # seconds; reading may mean to run somebody's program


class ConfigurationError(KeywrightError):
    """There is no usable way to reach a cluster."""

    code = "configuration"


before_sending: ContextVar[Callable[[], None]] = ContextVar("before_sending")
"""What a request of this task has to pass at the very last; it may raise instead."""


@dataclass(frozen=True)
class Identity:
    """Server and credentials at this moment, for a client that opens its own connections."""

    server: str
    verify: bool
    ca_file: str | None
    certificate_file: str | None
    key_file: str | None
    proxy: str | None
    authorization: str | None = field(repr=False)


class Credentials:
    """One `ApiClient` whose credentials can be read anew."""

    def __init__(self, kubeconfig: str | None, configuration: Any) -> None:
        self._kubeconfig = kubeconfig
        self._configuration = configuration
        self._print = _fingerprint(configuration)
        self._refreshing = asyncio.Lock()
        self._before: Any = None
        self._read_at = float("-inf")
        self.generation = 0
        self.transport = _transport(configuration)

    @classmethod
    async def load(cls, kubeconfig: str | None) -> Credentials:
        """Read them; raises ConfigurationError where there are none."""
        # Without a limit: each watch holds a connection, and the workers bound the requests beside them.
        configuration = _client.Configuration(connection_pool_maxsize=0)
        # Otherwise aiohttp reads ~/.netrc in a thread at every request.
        configuration.client_session_kwargs = {"trust_env": False, "trace_configs": [_checking()]}
        await _load(kubeconfig, configuration)
        return cls(kubeconfig, configuration)

    async def refresh(self, generation: int) -> bool:
        """Read them anew after a 401, unless someone did since `generation`; return whether to try again.

        The official client refreshes in-cluster tokens by itself; tokens of exec plugins, OIDC and
        token files named in a kubeconfig only when they are read again.
        """
        async with self._refreshing:
            if generation != self.generation:
                return True
            if time.monotonic() - self._read_at < AGAIN_AFTER:
                return False
            self._read_at = time.monotonic()
            before = await self._authorization()
            await _load(self._kubeconfig, self._configuration)
            renewed = before != await self._authorization()
            fingerprint = _fingerprint(self._configuration)
            if fingerprint != self._print:
                renewed, self._print = True, fingerprint
                await self._replace_transport()
            self.generation += renewed
            return renewed

    async def identity(self) -> Identity:
        """Return server and credentials as they are now."""
        configuration = self._configuration
        return Identity(
            server=configuration.host,
            verify=configuration.verify_ssl,
            ca_file=configuration.ssl_ca_cert,
            certificate_file=configuration.cert_file,
            key_file=configuration.key_file,
            proxy=configuration.proxy,
            authorization=await self._authorization(),
        )

    async def close(self) -> None:
        """Close every connection."""
        for transport in (self._before, self.transport):
            if transport is not None:
                await transport.close()

    async def _authorization(self) -> str | None:
        value: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return value

    async def _replace_transport(self) -> None:
        # A TLS context is fixed once made. The one before stays open: requests may be in flight on it.
        if self._before is not None:
            await self._before.close()
        self._before, self.transport = self.transport, _transport(self._configuration)


def _checking() -> aiohttp.TraceConfig:
    """Call `before_sending` once a connection is there, of each attempt: aiohttp repeats a PUT by itself.

    Both signals come just before what they are named after. The second one comes in a later turn of the loop,
    and only then anything leaves, the headers included; an error there is one of the connection.
    """

    async def check(*_: object) -> None:
        before_sending.get()()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(check)
    trace.on_request_chunk_sent.append(check)
    return trace


def _transport(configuration: Any) -> Any:
    transport = _client.ApiClient(configuration)
    transport.user_agent = USER_AGENT
    return transport


async def _load(kubeconfig: str | None, configuration: Any) -> None:
    try:
        if kubeconfig is None and os.environ.get("KUBERNETES_SERVICE_HOST"):
            _config.load_incluster_config(client_configuration=configuration)
            return
        source = kubeconfig or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
        if not _exists(source):
            raise ConfigurationError("no such kubeconfig", file=source)
        await _config.load_kube_config(
            config_file=source,
            client_configuration=configuration,
            persist_config=False,
        )
    except _config.ConfigException:
        # Its message may quote the file, which holds credentials.
        raise ConfigurationError("not a usable kubeconfig", file=kubeconfig or "default") from None
    except (OSError, yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        problem = type(error).__name__
        raise ConfigurationError(
            "not a usable kubeconfig", file=kubeconfig or "default", problem=problem
        ) from None


def _exists(source: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in source.split(os.pathsep) if part)


def _fingerprint(configuration: Any) -> str:
    digest = hashlib.sha256()
    for file in (configuration.ssl_ca_cert, configuration.cert_file, configuration.key_file):
        content = Path(file).read_bytes() if file and Path(file).is_file() else b""
        digest.update(hashlib.sha256(content).digest())
    return digest.hexdigest()
