"""The newest known state of our three kinds, as JSON bytes: a dict of the same takes eight times that.

Of Secrets it knows which version there is, and never more; of Namespaces their metadata.

Watch events and the answers to our own writes both arrive here, in any order, so the newer
resourceVersion wins and the memory of a deletion outlives the object for a while.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from dataclasses import dataclass, replace
from datetime import datetime
from sys import intern
from typing import TYPE_CHECKING, Any

import orjson

from keywright.api.reasons import ReadyReason
from keywright.keys.grants import rank
from keywright.keys.tokens import REGENERATE, ROTATE

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

KINDS = ("project", "apikey", "revocation")
SECRET, NAMESPACE = "secret", "namespace"

_Index = dict[str, set[str]]  # ApiKeys by what they have in common

_REMEMBERED = 4096  # deletions; a late answer to a write follows its deletion within seconds


@dataclass(frozen=True, slots=True)
class Summary:
    """What can be asked of an ApiKey without parsing it; times in seconds since 1970.

    `converged`: it is Ready, and nothing was asked of it since.
    """

    key: str
    uid: str
    namespace: str
    project: str
    secret: str
    created: str
    ready: bool
    deleting: bool
    revision: int
    reason: str
    key_ids: tuple[str, ...]
    converged: bool
    states: tuple[str, ...]
    next_rotation: float | None
    expires: float | None

    @property
    def retiring(self) -> bool:
        """Whether an older key is valid beside the current one."""
        return "Retiring" in self.states


@dataclass(frozen=True, slots=True)
class _Cached:
    uid: str
    resource_version: int
    generation: int
    reason: str
    body: bytes


class Cache:
    """Projects, ApiKeys and Revocations by `namespace/name`."""

    def __init__(self) -> None:
        self._objects: dict[str, dict[str, _Cached]] = {kind: {} for kind in (*KINDS, SECRET, NAMESPACE)}
        self._gone: dict[tuple[str, str], int] = {}
        self._summaries: dict[str, Summary] = {}
        self._by_project: _Index = {}
        self._by_namespace: _Index = {}
        self._by_secret: _Index = {}
        self._by_key_id: _Index = {}
        self._over_quota: _Index = {}
        # In order, the `rank` of all that counts towards a quota: of a Project, and of one in a namespace.
        self._ranks: dict[Hashable, list[tuple[bool, str, str]]] = {}

    def put(self, kind: str, obj: dict[str, Any]) -> bool:
        """Take over an object unless a newer state of it is known; return whether it was."""
        key, version = key_of(obj), version_of(obj)
        cached = self._objects[kind].get(key)
        known = cached.resource_version if cached is not None else self._gone.get((kind, key), -1)
        if version <= known:
            return False
        self._objects[kind][key] = _cached(obj, version, body=kind != SECRET)
        self._gone.pop((kind, key), None)
        if kind == "apikey":
            self._index(summarise(obj))
        return True

    def remove(self, kind: str, key: str, *, resource_version: str | None = None) -> bool:
        """Forget an object unless a state newer than its deletion is known; return whether it went."""
        cached = self._objects[kind].get(key)
        version = _number(resource_version) if resource_version is not None else None
        if version is not None:
            self._remember_gone(kind, key, version)
        if cached is None or (version is not None and cached.resource_version > version):
            return False
        if version is None:
            self._remember_gone(kind, key, cached.resource_version)
        del self._objects[kind][key]
        if kind == "apikey":
            self._unindex(key)
        return True

    def get(self, kind: str, key: str) -> dict[str, Any] | None:
        """Return the newest known state of an object, without managedFields; a copy of its own."""
        cached = self._objects[kind].get(key)
        if cached is None:
            return None
        obj: dict[str, Any] = orjson.loads(cached.body)
        return obj

    def version(self, kind: str, key: str) -> tuple[str, int] | None:
        """Return UID and resourceVersion of what is known."""
        cached = self._objects[kind].get(key)
        return None if cached is None else (cached.uid, cached.resource_version)

    def generation(self, kind: str, key: str) -> tuple[str, int] | None:
        """Return UID and metadata.generation of what is known: spec and deletion change them."""
        cached = self._objects[kind].get(key)
        return None if cached is None else (cached.uid, cached.generation)

    def keys(self, kind: str) -> list[str]:
        """Return the `namespace/name` of every known object of a kind."""
        return list(self._objects[kind])

    def reason(self, kind: str, key: str) -> str:
        """Return the reason of the Ready condition of what is known; empty where there is none."""
        cached = self._objects[kind].get(key)
        return "" if cached is None else cached.reason

    def reasons(self, kind: str) -> Iterator[str]:
        """Return why each object of a kind is, or is not, Ready; nothing where it does not say."""
        return (cached.reason for cached in self._objects[kind].values())

    def api_keys_of(self, project: str) -> list[str]:
        """Return the ApiKeys that refer to a Project, in no particular order."""
        return list(self._by_project.get(project, ()))

    def api_keys_in(self, namespace: str) -> list[str]:
        """Return the ApiKeys of a namespace, in no particular order."""
        return list(self._by_namespace.get(namespace, ()))

    def api_keys_over_quota(self, project: str) -> list[str]:
        """Return the ApiKeys of a Project that wait for room within its quotas."""
        return list(self._over_quota.get(project, ()))

    def counts_before(self, key: str) -> tuple[int, int]:
        """Return how many ApiKeys of its Project come before one: in all, and in its namespace.

        What is being deleted does not count; before one that is not known, nothing comes.
        """
        mine = self._summaries.get(key)
        if mine is None:
            return 0, 0
        of_project, in_namespace = (self._ranks.get(quota, ()) for quota in _quotas(mine))
        place = rank(mine)
        return bisect_left(of_project, place), bisect_left(in_namespace, place)

    def revealing(self, key: str) -> None:
        """Count an ApiKey as one that has a key from now on: its first is about to be readable.

        Until its next state is known; so of two that take the last place in a quota one loses.
        """
        summary = self._summaries.get(key)
        if summary is not None and not summary.revision:
            self._index(replace(summary, revision=1))

    def api_keys_with(self, secret: str) -> list[str]:
        """Return the ApiKeys that want a Secret of that name; more than one, and they quarrel over it."""
        return list(self._by_secret.get(secret, ()))

    def outdated(self, kind: str, listed: set[str], version: int) -> list[tuple[str, str]]:
        """Return name and UID of what is known, older than a whole list, and not among what it listed."""
        return [
            (key, cached.uid)
            for key, cached in self._objects[kind].items()
            if key not in listed and cached.resource_version <= version
        ]

    def mentioning(self, kind: str, text: str) -> list[str]:
        """Return the objects whose JSON contains a text (of characters that JSON does not escape)."""
        needle = text.encode()
        return [key for key, cached in self._objects[kind].items() if needle in cached.body]

    def holders_of(self, key_id: str) -> list[str]:
        """Return the ApiKeys whose status names a generation; more than one only if somebody made it up."""
        return list(self._by_key_id.get(key_id, ()))

    def summaries(self) -> Iterator[Summary]:
        """Return every ApiKey, in short."""
        return iter(self._summaries.values())

    def summaries_of(self, project: str) -> list[Summary]:
        """Return the ApiKeys that refer to a Project, in short."""
        return [self._summaries[key] for key in self._by_project.get(project, ())]

    def _index(self, summary: Summary) -> None:
        self._unindex(summary.key)
        self._summaries[summary.key] = summary
        for index, name in self._entries(summary):
            index.setdefault(name, set()).add(summary.key)
        if not summary.deleting:
            place = rank(summary)
            for quota in _quotas(summary):
                insort(self._ranks.setdefault(quota, []), place)

    def _unindex(self, key: str) -> None:
        summary = self._summaries.pop(key, None)
        if summary is None:
            return
        for index, name in self._entries(summary):
            index[name].discard(key)
            if not index[name]:
                del index[name]
        if not summary.deleting:
            place = rank(summary)
            for quota in _quotas(summary):
                ranks = self._ranks[quota]
                del ranks[bisect_left(ranks, place)]
                if not ranks:
                    del self._ranks[quota]

    def _entries(self, summary: Summary) -> Iterator[tuple[_Index, str]]:
        """Return where an ApiKey is found, and under which name."""
        yield self._by_project, summary.project
        yield self._by_namespace, summary.namespace
        yield self._by_secret, summary.secret
        if summary.reason == ReadyReason.QUOTA_EXCEEDED:
            yield self._over_quota, summary.project
        for key_id in summary.key_ids:
            yield self._by_key_id, key_id

    def _remember_gone(self, kind: str, key: str, version: int) -> None:
        self._gone[kind, key] = max(version, self._gone.pop((kind, key), -1))
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]


def _quotas(summary: Summary) -> tuple[Hashable, Hashable]:
    """Return what an ApiKey counts towards: its Project, and that in its namespace."""
    return summary.project, (summary.project, summary.namespace)


def key_of(obj: dict[str, Any]) -> str:
    """Return `namespace/name` of an object."""
    metadata = obj["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


def version_of(obj: dict[str, Any]) -> int:
    """Return the resourceVersion as the number that it is for every Kubernetes API server (KEP-5504)."""
    return _number(obj["metadata"].get("resourceVersion"))


def summarise(obj: dict[str, Any]) -> Summary:
    """Return an ApiKey in short, whatever is missing from it or has another form than the schema says."""
    metadata, status = obj["metadata"], _mapping(obj.get("status"))
    spec = _mapping(obj.get("spec"))
    ref = _mapping(spec.get("projectRef"))
    secret = status.get("secretName") or _mapping(spec.get("secret")).get("name") or metadata["name"]
    namespace = metadata.get("namespace", "")
    ready = _ready(status)
    generations = _mappings(status.get("keys"))
    ids = (generation.get("id") for generation in generations)
    revision = status.get("revision")
    return Summary(
        key=key_of(obj),
        uid=metadata.get("uid", ""),
        namespace=namespace,
        project=f"{ref.get('namespace') or namespace}/{ref.get('name', '')}",
        secret=f"{namespace}/{secret}",
        created=metadata.get("creationTimestamp", ""),
        ready=ready.get("status") == "True",
        deleting="deletionTimestamp" in metadata,
        revision=revision if isinstance(revision, int) else 0,
        reason=_word(ready.get("reason")),
        key_ids=tuple(dict.fromkeys(key_id for key_id in ids if isinstance(key_id, str))),
        states=tuple(_word(generation.get("state")) for generation in generations),
        converged=ready.get("status") == "True" and _answered(metadata, status),
        next_rotation=_seconds(status.get("nextRotationTime")),
        expires=_seconds(status.get("expiresAt")),
    )


def _answered(metadata: dict[str, Any], status: dict[str, Any]) -> bool:
    """Whether the status speaks of the present spec, and knows the tokens in the annotations."""
    annotations, handled = _mapping(metadata.get("annotations")), status.get("handledTokens") or ()
    asked = [annotations[name] for name in (ROTATE, REGENERATE) if name in annotations]
    return status.get("observedGeneration") == metadata.get("generation") and all(
        token in handled for token in asked
    )


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _word(value: object) -> str:
    return intern(value) if isinstance(value, str) else ""


def _cached(obj: dict[str, Any], version: int, *, body: bool) -> _Cached:
    if not body:
        return _Cached(obj["metadata"].get("uid", ""), version, 0, "", b"{}")
    metadata = {name: value for name, value in obj["metadata"].items() if name != "managedFields"}
    text = orjson.dumps({**obj, "metadata": metadata})
    reason = _word(_ready(_mapping(obj.get("status"))).get("reason"))
    return _Cached(metadata.get("uid", ""), version, metadata.get("generation", 0), reason, text)


def _ready(status: dict[str, Any]) -> dict[str, Any]:
    """Return the Ready condition, empty where there is none."""
    return next((c for c in _mappings(status.get("conditions")) if c.get("type") == "Ready"), {})


def _seconds(text: object) -> float | None:
    """Read a time of a status; nothing where there is none, or somebody wrote what is no time."""
    try:
        return datetime.fromisoformat(text).timestamp() if isinstance(text, str) else None
    except ValueError:
        return None


def _number(version: str | None) -> int:
    return int(version) if version and version.isdecimal() else 0
