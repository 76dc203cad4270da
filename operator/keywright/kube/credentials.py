"""How we get to the API server: the official client finds, reads and refreshes every kind of credential.

Precedence: the kubeconfig given; else the ServiceAccount of the pod; else `$KUBECONFIG` or
`~/.kube/config`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import time
from pathlib import Path
from typing import Any

import yaml
from kubernetes.aio import client as kubernetes_client
from kubernetes.aio import config as kubernetes_config

from keywright.errors import KeywrightError
from keywright.kube.transport import Transport

# Typed only in part.
_client: Any = kubernetes_client
_config: Any = kubernetes_config

AGAIN_AFTER = 5.0  # seconds; reading may mean to run somebody's program


class ConfigurationError(KeywrightError):
    """There is no usable way to reach a cluster."""

    code = "configuration"


class Credentials:
    """What leads to the API server, and can be read anew."""

    def __init__(self, kubeconfig: str | None, configuration: Any) -> None:
        self._kubeconfig = kubeconfig
        self._configuration = configuration
        self._print = _fingerprint(configuration)
        self._refreshing = asyncio.Lock()
        self._before: Transport | None = None
        self._read_at = float("-inf")
        self.generation = 0
        self.transport = Transport(configuration)

    @classmethod
    async def load(cls, kubeconfig: str | None) -> Credentials:
        """Read them; raises ConfigurationError where there are none."""
        configuration = _client.Configuration()
        await _load(kubeconfig, configuration)
        try:
            return cls(kubeconfig, configuration)
        except OSError as error:
            problem = type(error).__name__
            raise ConfigurationError(
                "its certificates cannot be read", file=kubeconfig or "default", problem=problem
            ) from None

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
            before = await self.authorization()
            await _load(self._kubeconfig, self._configuration)
            renewed = before != await self.authorization()
            fingerprint = _fingerprint(self._configuration)
            if fingerprint != self._print:
                renewed, self._print = True, fingerprint
                await self._replace_transport()
            self.generation += renewed
            return renewed

    @property
    def server(self) -> str:
        """The URL of the API server."""
        server: str = self._configuration.host
        return server

    async def authorization(self) -> str | None:
        """Return the value of the Authorization header; in-cluster tokens are read anew from time to time."""
        value: str | None = await self._configuration.get_api_key_with_prefix("BearerToken")
        return value

    async def close(self) -> None:
        """Close every connection."""
        for transport in (self._before, self.transport):
            if transport is not None:
                await transport.close()

    async def _replace_transport(self) -> None:
        # A TLS context is fixed once made. The one before stays open: requests may be in flight on it.
        if self._before is not None:
            await self._before.close()
        self._before, self.transport = self.transport, Transport(self._configuration)


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
