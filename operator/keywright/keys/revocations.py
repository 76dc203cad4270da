"""Records of revocation: the Revocations that the operator itself writes into the system namespace."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from keywright.api.meta import API_VERSION, GROUP

if TYPE_CHECKING:
    from keywright.api.apikey import ApiKey
    from keywright.api.revocation import RevocationReason
    from keywright.keys.actions import CreateRecord

MANAGED_BY = ("app.kubernetes.io/managed-by", "keywright")
API_KEY = f"{GROUP}/api-key"
API_KEY_UID = f"{GROUP}/api-key-uid"
PROJECT = f"{GROUP}/project"
UNTIL = f"{GROUP}/until"

_SENTENCES = {
    "Deleted": "The ApiKey was deleted.",
    "Superseded": "The key was regenerated.",
}


def record_name(key_id: str) -> str:
    """Return the name of the record of a generation: the same from every process, so it is written once."""
    return f"k-{key_id}"


def whole_record_name(api_key: ApiKey) -> str:
    """Return the name of the record of a whole ApiKey: it binds the UID, not whoever has the name later."""
    return f"a-{api_key.metadata.uid}"


def record_manifest(record: CreateRecord, api_key: ApiKey) -> dict[str, Any]:
    """Return the Revocation of one generation; its annotations tell what it was when all else is gone."""
    spec = {"keyID": record.key_id, "reason": record.reason.value}
    return _manifest(record_name(record.key_id), spec, record.until, api_key)


def whole_record_manifest(api_key: ApiKey, reason: RevocationReason) -> dict[str, Any]:
    """Return the Revocation of a whole ApiKey, to be kept for good: its keys to come have no end yet."""
    ref = {"name": api_key.metadata.name, "namespace": api_key.metadata.namespace}
    return _manifest(whole_record_name(api_key), {"apiKeyRef": ref, "reason": reason.value}, "", api_key)


def _manifest(name: str, spec: dict[str, Any], until: str, api_key: ApiKey) -> dict[str, Any]:
    sentence = _SENTENCES.get(spec["reason"])
    return {
        "apiVersion": API_VERSION,
        "kind": "Revocation",
        "metadata": {
            "name": name,
            "labels": dict([MANAGED_BY]),
            "annotations": {
                API_KEY: api_key.name,
                API_KEY_UID: api_key.metadata.uid,
                PROJECT: api_key.project,
                UNTIL: until,
            },
        },
        "spec": {**spec, "message": sentence} if sentence else spec,
    }
