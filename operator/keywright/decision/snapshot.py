"""One Project and its keys, written out of one index and read into another, which then decides alike.

What is written are objects in the form in which the API server sends them, cut down to what decisions are
made from, so that the other index takes them like any list. What Revocations and deletions have come to is
written into the state of each generation: none of another Project, nor a Revocation itself, need be told.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Any, NamedTuple

from keywright.api.project import KeyType
from keywright.decision.entry import LONG_AGO, NEVER

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from keywright.decision.entry import Entry, Generation
    from keywright.decision.index import Index
    from keywright.decision.networks import Networks

Content = dict[str, Any]

_BATCH = 100


class Claims(NamedTuple):
    """A snapshot and what is said about it; times in seconds since 1970."""

    issuer: str
    project: str
    issued_at: int
    expires_at: int
    epoch: int
    seq: int
    content: Mapping[str, Any]

    @classmethod
    def of(cls, members: Any) -> Claims:
        """Read a JSON object. Raises KeyError, TypeError or ValueError where it is none of these."""
        issuer, project, content = members["iss"], members["aud"], members["snapshot"]
        numbers = issued_at, expires_at, epoch, seq = tuple(
            members[name] for name in ("iat", "exp", "epoch", "seq")
        )
        if not isinstance(issuer, str) or not isinstance(project, str) or not isinstance(content, dict):
            raise TypeError
        if any(type(number) is not int or number < 0 for number in numbers):  # True is an int too
            raise TypeError
        return cls(issuer, project, issued_at, expires_at, epoch, seq, content)

    def members(self) -> dict[str, Any]:
        """Return the JSON object that is signed, in its order."""
        return {
            "iss": self.issuer,
            "aud": self.project,
            "iat": self.issued_at,
            "exp": self.expires_at,
            "epoch": self.epoch,
            "seq": self.seq,
            "snapshot": self.content,
        }


_UNTOLD = {"revision": 1, "hint": "", "cause": "First"}
"""What an object must have, and no decision asks for."""


def written(index: Index, project: str) -> Content | None:
    """Return what an index knows of a Project (`namespace/name`); None where there is none that can be read.

    It takes about 20 µs for each of its keys, and may be run in a thread beside the one that fills the index.
    """
    found = index.project(project)
    if found is None:
        return None
    entries = sorted((entry for entry in list(index.entries()) if entry.project == project), key=_name)
    labels = {entry.namespace: index.labels(entry.namespace) for entry in entries}
    return {
        "project": found,
        "namespaces": {name: told for name, told in labels.items() if told is not None},
        "api_keys": [_api_key(index, entry) for entry in entries],
    }


def reading(index: Index, content: Mapping[str, Any]) -> Iterator[None]:
    """Make an index hold what was written, and nothing besides; pauses after every hundred keys.

    Raises ValueError before anything is taken over, where it has another form.
    """
    project, namespaces, api_keys = (content.get(part) for part in ("project", "namespaces", "api_keys"))
    if not isinstance(project, dict) or not isinstance(namespaces, dict) or not isinstance(api_keys, list):
        raise ValueError("a snapshot has a Project, its namespaces and its keys")  # noqa: TRY004
    if not all(
        isinstance(one, dict) and isinstance(one.get("metadata"), dict) for one in [project, *api_keys]
    ):
        raise ValueError("each of a snapshot's objects has metadata")
    index.replace("project", [_versioned(project)])
    index.replace("namespace", [_namespace(*told) for told in sorted(namespaces.items())])
    listing = index.listing("apikey")
    for number, api_key in enumerate(api_keys, start=1):
        listing.put(_versioned(_whole(api_key)))
        if not number % _BATCH:
            yield
    listing.close()


def _name(entry: Entry) -> str:
    return entry.name


def _api_key(index: Index, entry: Entry) -> Content:
    about: Content = {"name": entry.name.partition("/")[2], "namespace": entry.namespace, "uid": entry.uid}
    if not entry.readable:
        return {"metadata": about}  # which cannot be read there either
    if entry.created != NEVER:
        about["creationTimestamp"] = _time(entry.created)
    status: Content = {"keys": [_generation(index, entry, generation) for generation in entry.generations]}
    for generation in entry.generations:
        if generation.times is not None and generation.times.told is not None:
            status |= {"currentKeyID": generation.id, "expiresAt": generation.times.told.isoformat()}
    return {"metadata": about, "spec": _spec(entry), "status": status}


def _spec(entry: Entry) -> Content:
    namespace, name = entry.project.split("/")
    spec: Content = {"projectRef": {"name": name, "namespace": namespace}, "type": entry.type.value}
    restrictions: Content = {}
    if entry.networks is not None:
        restrictions["cidrs"] = list(_cidrs(entry.networks))
    if entry.origins:
        restrictions["origins"] = sorted(entry.origins)
    elif entry.origins is None and entry.type is KeyType.CLIENT:
        restrictions["anyOrigin"] = True
    told = {
        "owner": entry.owner,
        "scopes": list(entry.scopes),
        "suspend": entry.suspended,
        "expiresAt": entry.ends_at.isoformat() if entry.ends_at is not None else None,
        "restrictions": restrictions,
    }
    spec |= {field: value for field, value in told.items() if value}
    if entry.rate_limits is not None:
        spec["rateLimits"] = [limit.wire() for limit in entry.rate_limits]
    return spec


def _generation(index: Index, entry: Entry, generation: Generation) -> Content:
    told: Content = {"id": generation.id, "digest": f"sha256:{generation.digest.hex()}", "state": "Active"}
    times = generation.times
    told["createdAt"] = (times.created if times is not None else datetime.fromtimestamp(0, UTC)).isoformat()
    if times is not None and times.stamp is not None:
        told["expiresAt"] = times.stamp.isoformat()
    if entry.revoked or generation.revoked or index.revoked.names(generation):
        told["state"] = "Revoked"
    elif times is None:
        told["state"] = "Expired"
    elif generation.retires == LONG_AGO:
        told["state"] = "Retired"
    elif generation.retires != NEVER:
        told |= {"state": "Retiring", "retiresAt": _time(generation.retires)}
    return told


def _cidrs(networks: Networks) -> Iterator[str]:
    for mask, network in networks.four:
        yield f"{IPv4Address(network)}/{mask.bit_count()}"
    for mask, network in networks.six:
        yield f"{IPv6Address(network)}/{mask.bit_count()}"


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _whole(api_key: Content) -> Content:
    keys = (api_key.get("status") or {}).get("keys")
    if not isinstance(keys, list):
        return api_key
    return {**api_key, "status": {**api_key["status"], "keys": [_UNTOLD | generation for generation in keys]}}


def _namespace(name: str, labels: object) -> Content:
    return _versioned({"metadata": {"name": name, "uid": name, "labels": labels}})


def _versioned(obj: Content) -> Content:
    """Return an object with a resourceVersion that is another one when anything else in it is."""
    digest = hashlib.sha256(json.dumps(obj, sort_keys=True).encode()).digest()
    version = str(int.from_bytes(digest[:12], "big"))
    return {**obj, "metadata": {**obj["metadata"], "resourceVersion": version}}
