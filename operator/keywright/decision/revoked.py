"""What is revoked, by whom and for good: what was seen once is never forgotten in this process.

A Revocation that names a key id is kept with its namespace, which decides whether it may act, however long
the object itself exists. One that names an ApiKey acts, while it exists, on whoever has the name; which
UIDs it acted on is kept. What ApiKeys themselves tell (a state Revoked, the condition, a deletion) is kept
under their name and UID, for an id alone could be made up in somebody else's ApiKey.

Nothing here needs the object to be valid: a Revocation that cannot be read as a whole still revokes what it
names, if its namespace may.
"""

from __future__ import annotations

from datetime import datetime
from sys import intern
from typing import TYPE_CHECKING, Any, NamedTuple

from keywright.decision.entry import LONG_AGO, NEVER
from keywright.keys.revocations import MANAGED_BY

if TYPE_CHECKING:
    from keywright.decision.entry import Entry, Generation


class _Named(NamedTuple):
    """A Revocation of a whole ApiKey."""

    target: str
    namespace: str
    uid: str | None
    """The UID that a copy acts on alone; None: whoever has the name."""
    created: float


class Revoked:
    """Every revocation that was ever seen."""

    def __init__(self, system_namespace: str) -> None:
        self._system_namespace = system_namespace
        self.key_ids: dict[str, tuple[str, ...]] = {}
        """The key ids that Revocations name, each with the namespaces of those."""
        self._uids: set[str] = set()
        self._told: set[str] = set()
        """`<key id> <ApiKey>`; for a whole one, by a copy that binds its UID, `<UID> <ApiKey>`."""
        self._named: dict[str, _Named] = {}
        self._by_target: dict[str, dict[str, _Named]] = {}
        self._past: dict[str, dict[str, float]] = {}

    def names(self, generation: Generation) -> bool:
        """Say whether a Revocation names a generation by its id, and may."""
        namespaces = self.key_ids.get(generation.id)
        return namespaces is not None and any(self._may(ns, generation.entry) for ns in namespaces)

    def put(self, name: str, obj: dict[str, Any]) -> str | None:
        """Take note of a Revocation; return the name of the ApiKey that it names, if it names a whole one."""
        self._retract(name)
        named = self._read(name, obj)
        if named is None:
            return None
        self._named[name] = named
        self._by_target.setdefault(named.target, {})[name] = named
        return named.target

    def put_late(self, name: str, obj: dict[str, Any]) -> str | None:
        """Take note of a Revocation that is known to be gone by now, as `put` does."""
        named = self._read(name, obj)
        if named is None:
            return None
        self._keep(named)
        return named.target

    def remove(self, name: str) -> None:
        """Take note that a Revocation was deleted: a new ApiKey of the name it named is a new one.

        An ApiKey that is as old as the Revocation was revoked by it, also if it becomes known only now.
        """
        named = self._retract(name)
        if named is not None:
            self._keep(named)

    def tell(self, name: str, uid: str, obj: dict[str, Any]) -> None:
        """Take note of what an ApiKey itself tells, whether or not it can be read as a whole."""
        status, metadata = _mapping(obj.get("status")), _mapping(obj.get("metadata"))
        deleting = "deletionTimestamp" in metadata
        conditions = _mappings(status.get("conditions"))
        if deleting or any(c.get("type") == "Revoked" and c.get("status") == "True" for c in conditions):
            self._uids.add(uid)
        for generation in _mappings(status.get("keys")):
            key_id = generation.get("id")
            if isinstance(key_id, str) and (deleting or generation.get("state") == "Revoked"):
                self._told.add(f"{key_id} {name}")

    def bury(self, uid: str) -> None:
        """Take note that an ApiKey was deleted: that revokes it, whoever brings it back."""
        self._uids.add(uid)

    def bury_entry(self, entry: Entry) -> None:
        """Take note that an ApiKey is gone, with all its generations."""
        self.bury(entry.uid)
        for generation in entry.generations:
            self._told.add(f"{generation.id} {entry.name}")

    def mark(self, entry: Entry) -> None:
        """Mark what is revoked of an ApiKey, as a whole and by generation, but for what `names` says."""
        if (
            f"{entry.uid} {entry.name}" in self._told
            or any(self._acts(named, entry) for named in self._by_target.get(entry.name, {}).values())
            or any(
                self._may(namespace, entry) and entry.created <= created
                for namespace, created in self._past.get(entry.name, {}).items()
            )
        ):
            self._uids.add(entry.uid)
        entry.revoked = entry.uid in self._uids
        for generation in entry.generations:
            if f"{generation.id} {entry.name}" in self._told:
                generation.revoked = True

    def _read(self, name: str, obj: dict[str, Any]) -> _Named | None:
        """Keep what a Revocation says for good; return what it says of a whole ApiKey."""
        namespace = intern(name.partition("/")[0])
        spec, metadata = _mapping(obj.get("spec")), _mapping(obj.get("metadata"))
        key_id = spec.get("keyID")
        if isinstance(key_id, str) and namespace not in self.key_ids.get(key_id, ()):
            self.key_ids[key_id] = (*self.key_ids.get(key_id, ()), namespace)
        ref = _mapping(spec.get("apiKeyRef"))
        ref_name, ref_namespace = ref.get("name"), ref.get("namespace") or namespace
        if not isinstance(ref_name, str) or not isinstance(ref_namespace, str):
            return None
        target, uid = f"{ref_namespace}/{ref_name}", self._bound_uid(name, metadata)
        if uid is not None:
            self._told.add(f"{uid} {target}")
        return _Named(target, namespace, uid, _created(metadata))

    def _keep(self, named: _Named) -> None:
        if named.uid is None:
            past = self._past.setdefault(named.target, {})
            past[named.namespace] = max(named.created, past.get(named.namespace, LONG_AGO))

    def _acts(self, named: _Named, entry: Entry) -> bool:
        return named.uid in {None, entry.uid} and self._may(named.namespace, entry)

    def _may(self, namespace: str, entry: Entry) -> bool:
        """Say whether Revocations of a namespace act on an ApiKey."""
        return (
            namespace in {entry.namespace, self._system_namespace}
            or namespace == entry.project.partition("/")[0]
        )

    def _bound_uid(self, name: str, metadata: dict[str, Any]) -> str | None:
        label, value = MANAGED_BY
        namespace, _, plain = name.partition("/")
        ours = namespace == self._system_namespace and _mapping(metadata.get("labels")).get(label) == value
        return plain.removeprefix("a-") if ours and plain.startswith("a-") else None

    def _retract(self, name: str) -> _Named | None:
        named = self._named.pop(name, None)
        if named is not None:
            of_target = self._by_target[named.target]
            del of_target[name]
            if not of_target:
                del self._by_target[named.target]
        return named


def _created(metadata: dict[str, Any]) -> float:
    """Return when an object was created; where nobody can tell, it is later than all else."""
    try:
        return datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    except (KeyError, TypeError, ValueError, OverflowError):
        return NEVER


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _mappings(value: object) -> list[dict[str, Any]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []
