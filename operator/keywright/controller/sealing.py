"""The sealing keys: one Secret in the system namespace, created where it is absent and never changed."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

import structlog

from keywright.keys.seal import SealingKeys
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.sealing")

NAME = "keywright-sealing"
_NOT_FOUND, _CONFLICT = 404, 409


class Sealing:
    """Reads the keys once, when they are first needed."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client = client
        self._namespace = namespace
        self._lock = asyncio.Lock()
        self._keys: SealingKeys | None = None

    async def keys(self) -> SealingKeys:
        """Return the sealing keys.

        Raises ApiError, TransportError, or MalformedSealingKeys where the Secret has another form: sealing
        with a new key would orphan every seal, so a person has to look.
        """
        async with self._lock:
            if self._keys is None:
                self._keys = await self._load()
            return self._keys

    async def _load(self) -> SealingKeys:
        try:
            return await self._read()
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        made = SealingKeys.new(secrets.token_bytes)
        body = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": NAME, "labels": {"app.kubernetes.io/managed-by": "keywright"}},
            "type": "Opaque",
            "data": made.to_secret_data(),
        }
        try:
            await self._client.create(paths.secrets(self._namespace), body)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            return await self._read()  # another replica was first; its keys count
        log.info("created the sealing keys", namespace=self._namespace, secret=NAME)
        return made

    async def _read(self) -> SealingKeys:
        secret = await self._client.get(paths.secret(self._namespace, NAME))
        return SealingKeys.from_secret_data(secret.get("data") or {})
