"""What would a competent developer write who goes by kopf's documentation? The baseline.

Change handlers for creation and deletion, the first also on resuming, a timer for the rotation, the official
client in its synchronous form, results by `patch.status`, an Event; kopf's settings as they are. It mints
keys of the same form into Secrets of the same type, and fills in what the shipped CRDs demand of a status.
What Keywright promises beyond that it does not do, so it is here to be measured and read, not to be used.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
import string
from datetime import UTC, datetime, timedelta
from typing import Any

import kopf
from kubernetes import client, config
from kubernetes.client import ApiException

GROUP, VERSION, PLURAL = "keywright.dev", "v1alpha1", "apikeys"
_ALPHABET = string.ascii_lowercase + string.digits
_LIFETIME = timedelta(days=90)
_ROTATE_BEFORE = timedelta(days=30)
_CONFLICT, _NOT_FOUND = 409, 404


@kopf.on.startup()
def prepare(**_: Any) -> None:
    """Read the kubeconfig, and share one client: each call would else open connections of its own."""
    config.load_kube_config()  # type: ignore[no-untyped-call]
    client.ApiClient.set_default(client.ApiClient())  # type: ignore[no-untyped-call]


@kopf.on.create(GROUP, VERSION, PLURAL)
@kopf.on.resume(GROUP, VERSION, PLURAL)
def ensure_key(
    body: kopf.Body, name: str, namespace: Any, status: kopf.Status, patch: kopf.Patch, **_: Any
) -> None:
    """Mint the first key, and again where the Secret is gone."""
    if not status.get("currentKeyID") or _secret_missing(name, namespace):
        _mint(body, name, namespace, status, patch)
        kopf.info(body, reason="Minted", message=f"Minted the key {patch.status['currentKeyID']}")


@kopf.timer(GROUP, VERSION, PLURAL, interval=60, initial_delay=60)
def rotate(
    body: kopf.Body, name: str, namespace: Any, status: kopf.Status, patch: kopf.Patch, **_: Any
) -> None:
    """Mint a new key a while before the current one expires."""
    due = status.get("nextRotationTime")
    if due and datetime.fromisoformat(due) <= datetime.now(UTC):
        _mint(body, name, namespace, status, patch)
        kopf.info(body, reason="Rotated", message=f"Rotated to the key {patch.status['currentKeyID']}")


@kopf.on.delete(GROUP, VERSION, PLURAL)
def revoke(namespace: Any, status: kopf.Status, **_: Any) -> None:
    """Record that the current key is dead; the Secret goes with its owner."""
    key_id = status.get("currentKeyID")
    if not key_id:
        return
    record = {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "Revocation",
        "metadata": {"name": f"k-{key_id}", "namespace": namespace},
        "spec": {"keyID": key_id, "reason": "Deleted"},
    }
    try:
        client.CustomObjectsApi().create_namespaced_custom_object(
            GROUP, VERSION, namespace, "revocations", record
        )
    except ApiException as error:
        if error.status != _CONFLICT:
            raise


def _mint(body: kopf.Body, name: str, namespace: Any, status: kopf.Status, patch: kopf.Patch) -> None:
    key_id = "".join(secrets.choice(_ALPHABET) for _ in range(16))
    hint = f"kw_prod_{key_id}"
    raw = f"{hint}_{secrets.token_hex(24)}0"
    _write_secret(_secret(body, name, raw, key_id), name, namespace)
    now = datetime.now(UTC)
    revision = int(status.get("revision") or 0) + 1
    key = {
        "id": key_id,
        "revision": revision,
        "digest": f"sha256:{hashlib.sha256(raw.encode()).hexdigest()}",
        "hint": hint,
        "state": "Active",
        "cause": "Scheduled" if revision > 1 else "First",
        "createdAt": _time(now),
        "expiresAt": _time(now + _LIFETIME),
    }
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "Active",
        "message": f"The Secret {name} holds the key {key_id}",
        "lastTransitionTime": _time(now),
        "observedGeneration": body.meta["generation"],
    }
    patch.status["observedGeneration"] = body.meta["generation"]
    patch.status["conditions"] = [ready]
    patch.status["secretName"] = name
    patch.status["currentKeyID"] = key_id
    patch.status["keys"] = [key]
    patch.status["revision"] = revision
    patch.status["expiresAt"] = key["expiresAt"]
    patch.status["nextRotationTime"] = _time(now + _LIFETIME - _ROTATE_BEFORE)


def _secret(body: kopf.Body, name: str, raw: str, key_id: str) -> Any:
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "keywright.dev/api-key",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/managed-by": "textbook", "keywright.dev/key-id": key_id},
        },
        "data": {"apiKey": base64.b64encode(raw.encode()).decode()},
    }
    kopf.adopt(secret, owner=body)
    return secret


def _write_secret(secret: Any, name: str, namespace: str) -> None:
    api = client.CoreV1Api()
    try:
        api.create_namespaced_secret(namespace, secret)
    except ApiException as error:
        if error.status != _CONFLICT:
            raise
        api.replace_namespaced_secret(name, namespace, secret)


def _secret_missing(name: str, namespace: str) -> bool:
    try:
        client.CoreV1Api().read_namespaced_secret(name, namespace)
    except ApiException as error:
        if error.status != _NOT_FOUND:
            raise
        return True
    return False


def _time(time: datetime) -> str:
    return f"{time:%Y-%m-%dT%H:%M:%SZ}"
