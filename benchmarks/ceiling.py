"""How fast could any operator be? The writes of one mint, key after key, by a program that decides nothing.

It is told of each new ApiKey on standard input instead of watching, and sends what Keywright sends, in the
same order and of the same size: the finalizer (merge patch), the status with a Pending generation (PUT), the
Secret (POST), the status with an Active one (PUT), the Event (POST); 16 keys at a time, each write on the
resourceVersion that the one before returned. It reads nothing, not even the Secret that might be there.
The ApiKeys are created by the load generator, here as with every contender, and that counts for all alike.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import hashlib
import json
import secrets
import string
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.session import MERGE_PATCH, connect
from benchmarks.stage import FINALIZER

if TYPE_CHECKING:
    import aiohttp

Object = dict[str, Any]

WORKERS = 16
_API_VERSION = "keywright.dev/v1alpha1"
_LIFETIME = timedelta(days=90)
_ALPHABET = string.ascii_lowercase + string.digits


async def main() -> None:
    """Mint for every line of standard input, a JSON object with name, uid and resourceVersion, to its end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--namespace", required=True)
    options = parser.parse_args()
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async with connect(options.kubeconfig) as session, asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(_work(session, options.namespace, lines))


async def _work(session: aiohttp.ClientSession, namespace: str, lines: asyncio.StreamReader) -> None:
    # One line at a time: two readers of one stream are one too many for asyncio.
    while line := await _next(lines):
        await Mint(session, namespace, json.loads(line)).run()


_reading = asyncio.Lock()


async def _next(lines: asyncio.StreamReader) -> bytes:
    async with _reading:
        return await lines.readline()


class Mint:
    """The five writes for one ApiKey."""

    def __init__(self, session: aiohttp.ClientSession, namespace: str, metadata: Object) -> None:
        self._session = session
        self._namespace = namespace
        self._name: str = metadata["name"]
        self._uid: str = metadata["uid"]
        self._version: str = metadata["resourceVersion"]
        self._path = f"/apis/{_API_VERSION}/namespaces/{namespace}/apikeys/{self._name}"
        self._id = "".join(secrets.choice(_ALPHABET) for _ in range(16))
        self._raw = f"kw_prod_{self._id}_{secrets.token_hex(24)}0"
        self._now = datetime.now(UTC)

    async def run(self) -> None:
        """Send them."""
        await self._add_finalizer()
        await self._put_status("Pending")
        await self._send("POST", f"/api/v1/namespaces/{self._namespace}/secrets", self._secret())
        await self._put_status("Active")
        events = f"/apis/events.k8s.io/v1/namespaces/{self._namespace}/events"
        await self._send("POST", events, self._event())

    async def _add_finalizer(self) -> None:
        body = {"metadata": {**self._precondition(), "finalizers": [FINALIZER]}}
        answer = await self._send("PATCH", self._path, body, headers=MERGE_PATCH)
        self._version = answer["metadata"]["resourceVersion"]

    async def _put_status(self, state: str) -> None:
        metadata = {"name": self._name, "namespace": self._namespace, **self._precondition()}
        body = {
            "apiVersion": _API_VERSION,
            "kind": "ApiKey",
            "metadata": metadata,
            "status": self._status(state),
        }
        answer = await self._send("PUT", f"{self._path}/status", body)
        self._version = answer["metadata"]["resourceVersion"]

    async def _send(self, method: str, path: str, body: Object, **extra: Any) -> Object:
        async with self._session.request(method, path, json=body, **extra) as answer:
            return json.loads(await answer.read())  # type: ignore[no-any-return]

    def _precondition(self) -> Object:
        return {"uid": self._uid, "resourceVersion": self._version}

    def _status(self, state: str) -> Object:
        active = state == "Active"
        expiry = self._time(_LIFETIME)
        key = {
            "id": self._id,
            "revision": 1,
            "digest": f"sha256:{hashlib.sha256(self._raw.encode()).hexdigest()}",
            "hint": f"kw_prod_{self._id}",
            "state": state,
            "cause": "First",
            "createdAt": self._time(),
            "expiresAt": expiry,
        }
        ready = ("True", "Active") if active else ("False", "Minting")
        status = {
            "observedGeneration": 1,
            "conditions": [
                self._condition("Ready", *ready, f"The Secret {self._name} holds the key {self._id}"),
                self._condition("Rotating", "False", "Idle", "No rotation is under way"),
            ],
            "effective": {
                "expiresAfter": "2160h",
                "rotation": {"policy": "Scheduled", "beforeExpiry": "720h", "overlap": "24h"},
                "scopes": ["data:read"],
            },
            "secretName": self._name,
            "keys": [key],
        }
        if active:
            status |= {
                "currentKeyID": self._id,
                "revision": 1,
                "expiresAt": expiry,
                "nextRotationTime": expiry,
            }
        return status

    def _condition(self, kind: str, status: str, reason: str, message: str) -> Object:
        return {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": message,
            "lastTransitionTime": self._time(),
            "observedGeneration": 1,
        }

    def _secret(self) -> Object:
        owner = {
            "apiVersion": _API_VERSION,
            "kind": "ApiKey",
            "name": self._name,
            "uid": self._uid,
            "controller": True,
            "blockOwnerDeletion": True,
        }
        return {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "keywright.dev/api-key",
            "metadata": {
                "name": self._name,
                "namespace": self._namespace,
                "ownerReferences": [owner],
                "labels": {
                    "app.kubernetes.io/managed-by": "keywright",
                    "keywright.dev/api-key": self._name,
                    "keywright.dev/api-key-uid": self._uid,
                    "keywright.dev/key-id": self._id,
                    "keywright.dev/project": "payments",
                    "keywright.dev/project-namespace": self._namespace,
                },
                "annotations": {
                    "keywright.dev/revision": "1",
                    "keywright.dev/created-at": self._time(),
                    "keywright.dev/expires-at": self._time(_LIFETIME),
                    "keywright.dev/entries": '{"data":["apiKey"],"labels":[],"annotations":[]}',
                    "keywright.dev/seal": f"v1:{secrets.token_hex(4)}:{secrets.token_urlsafe(32)}",
                },
            },
            "data": {"apiKey": base64.b64encode(self._raw.encode()).decode()},
        }

    def _event(self) -> Object:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {
                "name": f"{self._name}.{secrets.token_hex(8)}",
                "namespace": self._namespace,
            },
            "eventTime": self._now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "reportingController": "keywright.dev/operator",
            "reportingInstance": "ceiling",
            "type": "Normal",
            "reason": "Minted",
            "action": "Mint",
            "regarding": {
                "apiVersion": _API_VERSION,
                "kind": "ApiKey",
                "namespace": self._namespace,
                "name": self._name,
                "uid": self._uid,
            },
            "note": f"Minted the key {self._id} (revision 1), cause First",
        }

    def _time(self, after: timedelta = timedelta(0)) -> str:
        return f"{self._now + after:%Y-%m-%dT%H:%M:%SZ}"


if __name__ == "__main__":
    asyncio.run(main())
