"""All that is known of Projects, ApiKeys, Revocations and Namespaces, ready to be asked for by digest.

Objects arrive as JSON, in any order, late and again. The newest resourceVersion counts, except in a whole
list, which counts as it is: after a restore of etcd it is older than what is known, and right. What was
revoked stays so whatever arrives later, see `revoked`.

By digest and not by id: an id can be made up in somebody else's status, and a digest is of no use without
the key.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from keywright.api.apikey import ApiKey
from keywright.api.project import Project
from keywright.decision.entry import Entry
from keywright.decision.revoked import Revoked
from keywright.decision.terms import Terms

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from keywright.decision.entry import Generation
    from keywright.decision.limits import Bucket

KINDS = ("project", "apikey", "revocation", "namespace")

_UNREADABLE = (ValueError, TypeError, OverflowError)
_VERSION = re.compile(r"[0-9]{1,32}")
_REMEMBERED = 10_000  # deletions, in case that an older state of the object arrives after its end


class _Seen(NamedTuple):
    uid: str
    version: int


class Index:
    """What decisions are made from."""

    def __init__(self, *, system_namespace: str = "keywright-system") -> None:
        self.projects: dict[str, Terms] = {}
        """The Projects that can be read, by `namespace/name`."""
        self.holders: dict[bytes, tuple[Generation, ...]] = {}
        """The generations of each digest, those of the oldest ApiKey first."""
        self.revoked = Revoked(system_namespace)
        self.changes = 0
        """Counts up whenever something here may be another than before."""
        self._entries: dict[str, Entry] = {}
        self._labels: dict[str, dict[str, str]] = {}
        self._specs: dict[str, object] = {}
        self._shared_buckets: dict[str, tuple[Bucket, ...]] = {}
        self._seen: dict[str, dict[str, _Seen]] = {kind: {} for kind in KINDS}
        self._newest = dict.fromkeys(KINDS, 0)
        self._gone: dict[tuple[str, str], int] = {}

    def put(self, kind: str, obj: dict[str, Any]) -> bool:
        """Take over a state of an object, unless a newer one is known; return whether it can be read."""
        self.changes += 1
        identity = _identity(kind, obj)
        if identity is None:
            return False
        name, uid, version = identity
        if kind == "apikey":
            self.revoked.tell(name, uid, obj)
        seen = self._seen[kind].get(name)
        if version <= (seen.version if seen is not None else self._gone.get((kind, name), -1)):
            if kind == "apikey":
                self._mark(name)
            elif kind == "revocation" and (seen is None or seen.uid != uid):
                self._mark(self.revoked.put_late(name, obj))
            return True
        return self._take(kind, name, _Seen(uid, version), obj)

    def remove(
        self, kind: str, name: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Forget an object, `namespace/name` or the name of a Namespace, unless it is another one by now."""
        self.changes += 1
        seen, version = self._seen[kind].get(name), _number(resource_version)
        if kind == "apikey" and uid:
            self.revoked.bury(uid)
        if seen is not None:
            another = seen.uid != uid if uid is not None else 0 < version < seen.version
            if another:
                return
            self._forget(kind, name)
        self._gone[kind, name] = max(version, self._gone.pop((kind, name), -1), seen.version if seen else -1)
        if len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]

    def replace(
        self,
        kind: str,
        objects: Iterable[dict[str, Any]],
        *,
        namespace: str | None = None,
        resource_version: str | None = None,
    ) -> int:
        """Take over a whole list, of one namespace if given: what is not in it is gone.

        Return how many objects cannot be read. `resource_version` is that of the list: where it is older
        than what is known, etcd was restored, and an equal version need not be an equal object.
        """
        listing = self.listing(kind, namespace=namespace, version=_number(resource_version))
        unreadable = sum(not listing.put(obj) for obj in objects)
        listing.close()
        return unreadable

    def listing(self, kind: str, *, namespace: str | None = None, version: int = 0) -> Listing:
        """Begin to take over a whole list, object by object: no list need be in memory at once."""
        self.changes += 1
        self._gone = {key: gone for key, gone in self._gone.items() if key[0] != kind}
        return Listing(self, kind, namespace, restored=0 < version < self._newest[kind])

    def entry(self, name: str) -> Entry | None:
        """Return an ApiKey by `namespace/name`."""
        return self._entries.get(name)

    def entries(self) -> Iterator[Entry]:
        """Return every ApiKey."""
        return iter(self._entries.values())

    def project(self, name: str) -> dict[str, Any] | None:
        """Return a Project that can be read, as its object says of it what counts here."""
        if name not in self.projects:
            return None
        namespace, plain = name.split("/")
        about = {"name": plain, "namespace": namespace, "uid": self._seen["project"][name].uid}
        return {"metadata": about, "spec": self._specs[name]}

    def labels(self, namespace: str) -> dict[str, str] | None:
        """Return the labels of a Namespace, if they are known."""
        return self._labels.get(namespace)

    def size(self, kind: str) -> int:
        """Return how many objects of a kind are known, readable or not."""
        return len(self._seen[kind])

    def _list(self, kind: str, obj: dict[str, Any], *, restored: bool) -> tuple[str | None, bool]:
        """Take over an object of a list; return its name, if it has one, and whether it can be read."""
        identity = _identity(kind, obj)
        self.changes += 1
        if identity is None:
            return None, False
        name, uid, version = identity
        if restored or self._seen[kind].get(name) != (uid, version):
            if kind == "apikey":
                self.revoked.tell(name, uid, obj)
            self._take(kind, name, _Seen(uid, version), obj)
        return name, self._readable(kind, name)

    def _retain(self, kind: str, namespace: str | None, listed: set[str]) -> None:
        self.changes += 1
        for name in [name for name in self._seen[kind] if name not in listed]:
            if namespace is None or name.startswith(f"{namespace}/"):
                self._forget(kind, name)

    def _take(self, kind: str, name: str, seen: _Seen, obj: dict[str, Any]) -> bool:
        known = self._seen[kind].get(name)
        if known is not None and known.uid != seen.uid:
            self._forget(kind, name)
        self._seen[kind][name] = seen
        self._newest[kind] = max(self._newest[kind], seen.version)
        self._gone.pop((kind, name), None)
        match kind:
            case "apikey":
                return self._take_api_key(name, seen.uid, obj)
            case "project":
                return self._take_project(name, obj)
            case "revocation":
                self._mark(self.revoked.put(name, obj))
                return True
            case _:
                return self._take_labels(name, obj["metadata"].get("labels") or {})

    def _readable(self, kind: str, name: str) -> bool:
        if kind == "apikey":
            return self._entries[name].readable
        return kind != "project" or name in self.projects

    def _take_api_key(self, name: str, uid: str, obj: dict[str, Any]) -> bool:
        entry = Entry(name, uid)
        old = self._entries.get(name)
        if old is not None:
            self._drop(old)
            entry.kept_buckets = old.kept_buckets
        try:
            entry.read(ApiKey.model_validate(obj))
        except _UNREADABLE:
            entry = entry.unread()
            entry.project = old.project if old is not None else ""
        self._entries[name] = entry
        for generation in entry.generations:
            self._hold(generation)
        self.revoked.mark(entry)
        return entry.readable

    def _take_project(self, name: str, obj: dict[str, Any]) -> bool:
        spec = obj.get("spec")
        if name in self._specs and self._specs[name] == spec:
            return name in self.projects  # its status is written whenever its keys change
        self._specs[name] = spec
        self.projects.pop(name, None)
        try:
            terms = Terms(Project.model_validate(obj), self._labels, self._shared_buckets.get(name, ()))
        except _UNREADABLE:
            return False
        self.projects[name], self._shared_buckets[name] = terms, terms.kept_buckets
        return True

    def _take_labels(self, namespace: str, labels: object) -> bool:
        readable = isinstance(labels, dict) and all(isinstance(value, str) for value in labels.values())
        if readable and self._labels.get(namespace) == labels:
            return True
        if isinstance(labels, dict) and readable:
            self._labels[namespace] = labels
        else:
            self._labels.pop(namespace, None)
        self._relabel()
        return readable

    def _relabel(self) -> None:
        for name, terms in self.projects.items():
            if terms.choose_by_label:
                self.projects[name] = terms.relabelled()

    def _forget(self, kind: str, name: str) -> None:
        del self._seen[kind][name]
        match kind:
            case "apikey":
                entry = self._entries.pop(name)
                self.revoked.bury_entry(entry)
                self._drop(entry)
            case "project":
                self._specs.pop(name, None)
                self.projects.pop(name, None)
                self._shared_buckets.pop(name, None)
            case "revocation":
                self.revoked.remove(name)
            case _:
                self._labels.pop(name, None)
                self._relabel()

    def _mark(self, name: str | None) -> None:
        entry = self._entries.get(name) if name is not None else None
        if entry is not None:
            self.revoked.mark(entry)

    def _hold(self, generation: Generation) -> None:
        others = self.holders.get(generation.digest, ())
        self.holders[generation.digest] = (
            tuple(sorted((*others, generation), key=_age)) if others else (generation,)
        )

    def _drop(self, entry: Entry) -> None:
        for generation in entry.generations:
            others = tuple(g for g in self.holders[generation.digest] if g is not generation)
            if others:
                self.holders[generation.digest] = others
            else:
                del self.holders[generation.digest]


class Listing:
    """A whole list on its way into an index; what it did not hold is gone once it is closed."""

    def __init__(self, index: Index, kind: str, namespace: str | None, *, restored: bool) -> None:
        self._index = index
        self._kind = kind
        self._namespace = namespace
        self._names: set[str] = set()
        self.restored = restored
        """Whether the list is older than what was known, so that what it says is right all the same."""

    def put(self, obj: dict[str, Any]) -> bool:
        """Take over one object of it; return whether that can be read."""
        name, readable = self._index._list(self._kind, obj, restored=self.restored)  # noqa: SLF001
        if name is not None:
            self._names.add(name)
        return readable

    def close(self) -> None:
        """Forget what was not in it."""
        self._index._retain(self._kind, self._namespace, self._names)  # noqa: SLF001


def _age(generation: Generation) -> tuple[float, str]:
    return generation.entry.created, generation.entry.uid


def _identity(kind: str, obj: dict[str, Any]) -> tuple[str, str, int] | None:
    """Return name, UID and resourceVersion of an object; None if it is none."""
    metadata = obj.get("metadata")
    if not isinstance(metadata, dict):
        return None
    name, uid, namespace = (metadata.get(part) for part in ("name", "uid", "namespace"))
    if not isinstance(name, str) or not isinstance(uid, str) or not uid:
        return None
    if kind == "namespace":
        return name, uid, _number(metadata.get("resourceVersion"))
    if not isinstance(namespace, str):
        return None
    return f"{namespace}/{name}", uid, _number(metadata.get("resourceVersion"))


def _number(version: object) -> int:
    return int(version) if isinstance(version, str) and _VERSION.fullmatch(version) else 0
