"""Revocations: which act on an ApiKey, and what their own status says.

A Revocation is in force from its creation, whatever its status says: the verifier goes by the spec alone.
It acts on generations of ApiKeys whose namespace, or whose Project's namespace, is its own; from the
system namespace on any. What it was found to act on is copied into the system namespace, so that deleting
it brings nothing back.
"""

from __future__ import annotations

from dataclasses import dataclass
from sys import intern
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from keywright.api.apikey import ApiKey
from keywright.api.meta import format_time, round_up
from keywright.api.reasons import RevocationReadyReason
from keywright.api.revocation import Revocation, RevocationReason, RevocationStatus
from keywright.controller.cache import key_of, summarise
from keywright.controller.reporting import report, with_ready
from keywright.controller.sight import clock_trusted
from keywright.keys import revocations as records
from keywright.keys.actions import CreateRecord
from keywright.keys.conditions import ready_reason
from keywright.keys.pruning import is_needed, prunable_from
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from keywright.controller.cache import Cache
    from keywright.controller.ports import Realm, Wake
    from keywright.kube.client import Client

log = structlog.get_logger("keywright.revocation")

_LOGGED = {
    RevocationReadyReason.IN_FORCE: "Revocation is in force",
    RevocationReadyReason.NOT_AUTHORIZED: "Revocation may not act from its namespace",
    RevocationReadyReason.KEY_NOT_FOUND: "Revocation names nothing that is known",
}
_NOT_FOUND, _CONFLICT = 404, 409
_COPY_AGAIN = 300.0  # seconds until a copy is tried once more whose name was taken
_LOOK_AGAIN = 86_400.0  # seconds until a record is judged once more that was found to be needed


@dataclass(frozen=True, slots=True)
class _Standing:
    """What a Revocation does, and no more of it: thousands of records stand for a year."""

    namespace: str
    reason: RevocationReason
    recorded: bool
    uid: str | None
    """The UID that the copy of an apiKeyRef acts on alone; None: whoever has the name."""


class Revocations:
    """Knows every Revocation by what it names, and keeps their status."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        *,
        realm: Realm,
        wake: Wake,
        clock: Callable[[], datetime],
    ) -> None:
        self._client = client
        self._cache = cache
        self._realm = realm
        self._system_namespace = realm.system_namespace
        self._wake = wake
        self._clock = clock
        self._by_target: dict[str, dict[str, _Standing]] = {}
        self._targets: dict[str, str] = {}

    def observe(self, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take note of a Revocation, and wake the ApiKeys that it names."""
        name = key_of(obj)
        old = self._targets.pop(name, None)
        if old is not None:
            self._by_target[old].pop(name)
            if not self._by_target[old]:
                del self._by_target[old]
        if event_type == "DELETED":
            return
        try:
            revocation = Revocation.model_validate(obj)
        except ValidationError:
            log.warning("a Revocation cannot be read", revocation=name)
            return
        target = _target(revocation)
        self._targets[name] = target
        self._by_target.setdefault(target, {})[name] = self._standing(revocation)
        for key in self._named(revocation):
            self._wake(f"apikey:{key}", urgent=True)

    def is_copy(self, name: str) -> bool:
        """Whether a Revocation, by its name, is one that the operator wrote."""
        return name.startswith((f"{self._system_namespace}/k-", f"{self._system_namespace}/a-"))

    def appeared(self, obj: dict[str, Any]) -> None:
        """Take note of an ApiKey: Revocations that named nothing until now may name it."""
        for target in (f"key:{key_of(obj)}", *(f"id:{key_id}" for key_id in summarise(obj).key_ids)):
            for name, standing in self._by_target.get(target, {}).items():
                if not standing.recorded:
                    self._wake(f"revocation:{name}")

    def of_generations(self, api_key: ApiKey, ids: Iterable[str]) -> dict[str, RevocationReason]:
        """Return those of an ApiKey's generations that a Revocation acts on, with its reason."""
        return {
            key_id: standing.reason for key_id in ids for standing in self._acting(f"id:{key_id}", api_key)
        }

    def of_whole(self, api_key: ApiKey) -> RevocationReason | None:
        """Return the reason of a Revocation of the whole ApiKey; a copy acts on the UID in its name only."""
        for standing in self._acting(f"key:{api_key.name}", api_key):
            if standing.uid in {None, api_key.metadata.uid}:
                return standing.reason
        return None

    def recorded(self, ids: Iterable[str]) -> frozenset[str]:
        """Return those generations that have a record in the system namespace."""
        return frozenset(
            key_id
            for key_id in ids
            if f"{self._system_namespace}/{records.record_name(key_id)}"
            in self._by_target.get(f"id:{key_id}", {})
        )

    async def reconcile(self, name: str) -> float | None:
        """Bring the status of one Revocation up to date, and its copy into the system namespace.

        Return the seconds until it may be pruned, if it is a record of ours, or its copy is tried again.
        """
        obj = self._cache.get("revocation", name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return None
        revocation = Revocation.model_validate(obj)
        status = await self._status(revocation)
        if status != revocation.status:
            revocation = await self._write(revocation, status)
        if status.recorded_at is None and ready_reason(status.conditions) == RevocationReadyReason.IN_FORCE:
            return _COPY_AGAIN
        return await self._prune(revocation)

    def _acting(self, target: str, api_key: ApiKey) -> Iterator[_Standing]:
        places = self._places(api_key)
        for standing in self._by_target.get(target, {}).values():
            if standing.namespace in places:
                yield standing

    def _standing(self, revocation: Revocation) -> _Standing:
        metadata = revocation.metadata
        copied = self._ours(revocation) and metadata.name.startswith("a-")
        return _Standing(
            namespace=intern(metadata.namespace),
            reason=revocation.spec.reason,
            recorded=revocation.status.recorded_at is not None,
            uid=metadata.name.removeprefix("a-") if copied else None,
        )

    def _places(self, api_key: ApiKey) -> set[str]:
        return {api_key.metadata.namespace, api_key.project.partition("/")[0], self._system_namespace}

    def _ours(self, revocation: Revocation) -> bool:
        label, value = records.MANAGED_BY
        metadata = revocation.metadata
        return metadata.namespace == self._system_namespace and metadata.labels.get(label) == value

    def _named(self, revocation: Revocation) -> list[str]:
        """Return the ApiKeys that a Revocation names, whether or not it may act on them."""
        if self._ours(revocation):  # thousands of these may stand: its annotation spares a search
            name = revocation.metadata.annotations.get(records.API_KEY)
            return [name] if name else []
        ref = revocation.spec.api_key_ref
        if ref is not None:
            return [ref.within(revocation.metadata.namespace)]
        return self._cache.holders_of(revocation.spec.key_id or "")

    def _api_keys(self, revocation: Revocation) -> Iterator[ApiKey]:
        for name in self._named(revocation):
            obj = self._cache.get("apikey", name)
            if obj is None:
                continue
            try:
                yield ApiKey.model_validate(obj)
            except ValidationError:
                log.warning("an ApiKey that a Revocation names cannot be read", api_key=name)

    async def _status(self, revocation: Revocation) -> RevocationStatus:
        if self._ours(revocation):
            annotations = revocation.metadata.annotations
            update = {
                "api_key": annotations.get(records.API_KEY),
                "api_key_uid": annotations.get(records.API_KEY_UID),
                "project": annotations.get(records.PROJECT),
            }
            return self._in_force(revocation, update)
        if revocation.status.recorded_at is not None:
            return revocation.status  # decided once
        found = list(self._api_keys(revocation))
        if not found:
            message = f"Nothing is known of the {_spoken(revocation)}: the Revocation acts once it is"
            return self._with(revocation, RevocationReadyReason.KEY_NOT_FOUND, message, {})
        for api_key in found:
            if revocation.metadata.namespace in self._places(api_key):
                recorded = await self._copy(revocation, api_key)
                update = {
                    "api_key": api_key.name,
                    "api_key_uid": api_key.metadata.uid,
                    "project": api_key.project,
                }
                return self._in_force(revocation, update, recorded=recorded)
        # Whose key it is, is none of this namespace's business.
        message = (
            f"What it names is not of the namespace {revocation.metadata.namespace}: create it in the "
            f"namespace of the ApiKey, in that of its Project, or in {self._system_namespace}"
        )
        return self._with(revocation, RevocationReadyReason.NOT_AUTHORIZED, message, {})

    async def _copy(self, revocation: Revocation, api_key: ApiKey) -> bool:
        """Write the copy that stays when the first one is deleted; return whether there is one."""
        key_id = revocation.spec.key_id
        if key_id is not None:
            generation = next((g for g in api_key.status.keys if g.id == key_id), None)
            until = (
                format_time(round_up(generation.expires_at)) if generation and generation.expires_at else ""
            )
            manifest = records.record_manifest(CreateRecord(key_id, until, revocation.spec.reason), api_key)
        else:
            manifest = records.whole_record_manifest(api_key, revocation.spec.reason)
        name = manifest["metadata"]["name"]
        if (revocation.metadata.namespace, revocation.metadata.name) == (self._system_namespace, name):
            return True  # it is its own copy
        try:
            answer = await self._client.create(paths.revocations(self._system_namespace), manifest)
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            answer = await self._client.get(paths.revocation(self._system_namespace, name))
            if _target(Revocation.model_validate(answer)) != _target(revocation):
                log.warning(
                    "no copy of a Revocation",
                    revocation=f"{revocation.metadata.namespace}/{revocation.metadata.name}",
                    why=f"its name {name} is taken by another one: delete that",
                )
                return False
        self._cache.put("revocation", answer)
        self.observe(None, answer)
        return True

    def _in_force(
        self, revocation: Revocation, update: dict[str, Any], *, recorded: bool = True
    ) -> RevocationStatus:
        at = revocation.status.recorded_at or self._clock().replace(microsecond=0) if recorded else None
        reason = RevocationReadyReason.IN_FORCE
        return self._with(
            revocation, reason, reason.sentence.removesuffix("."), {**update, "recorded_at": at}
        )

    def _with(
        self, revocation: Revocation, reason: RevocationReadyReason, message: str, update: dict[str, Any]
    ) -> RevocationStatus:
        status = with_ready(
            revocation.status,
            holds=reason is RevocationReadyReason.IN_FORCE,
            reason=reason,
            message=message,
            now=self._clock(),
            generation=revocation.metadata.generation,
        )
        return status.model_copy(update={"revoked_at": revocation.metadata.creation_timestamp, **update})

    async def _prune(self, revocation: Revocation) -> float | None:
        """Delete a record that is of no use any more; return the seconds until it may be."""
        metadata = revocation.metadata
        owner = metadata.annotations.get(records.API_KEY, "")
        since = prunable_from(revocation) if metadata.namespace == self._system_namespace else None
        # Another release keeps the records of the namespaces that it serves.
        if since is None or not self._realm.includes("apikey", owner.partition("/")[0]):
            return None
        now = self._clock()
        if now < since:
            return (since - now).total_seconds()
        if not clock_trusted(self._client) or await self._needed(revocation, owner, now):
            return _LOOK_AGAIN
        path, name = (
            paths.revocation(metadata.namespace, metadata.name),
            f"{metadata.namespace}/{metadata.name}",
        )
        try:
            await self._client.delete(path, uid=metadata.uid, resource_version=metadata.resource_version)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
        else:
            log.info("Pruned a record", revocation=name, key_id=revocation.spec.key_id, api_key=owner)
        self._cache.remove("revocation", name)
        return None

    async def _needed(self, record: Revocation, owner: str, now: datetime) -> bool:
        """Whether an ApiKey that exists, by a live read, still needs a record."""
        for name in {owner, *self._cache.holders_of(record.spec.key_id or "")}:
            namespace, _, plain = name.partition("/")
            try:
                obj = await self._client.get(paths.api_key(namespace, plain))
            except ApiError as error:
                if error.status != _NOT_FOUND:
                    raise
                continue
            try:
                api_key = ApiKey.model_validate(obj)
            except ValidationError:
                return True
            if is_needed(record, api_key, now):
                return True
        return False

    async def _write(self, revocation: Revocation, status: RevocationStatus) -> Revocation:
        answer = await report(self._client, self._cache, revocation, status)
        ready = status.conditions[0]
        known = {"key_id": revocation.spec.key_id, "api_key": status.api_key}
        log.info(
            _LOGGED[RevocationReadyReason(ready.reason)],
            revocation=key_of(answer),
            **{name: value for name, value in known.items() if value is not None},
        )
        return Revocation.model_validate(answer)


def _spoken(revocation: Revocation) -> str:
    """Name what a Revocation names, for people."""
    if revocation.spec.api_key_ref is not None:
        return f"ApiKey {revocation.spec.api_key_ref.within(revocation.metadata.namespace)}"
    return f"key {revocation.spec.key_id}"


def _target(revocation: Revocation) -> str:
    if revocation.spec.api_key_ref is not None:
        return f"key:{revocation.spec.api_key_ref.within(revocation.metadata.namespace)}"
    return f"id:{revocation.spec.key_id}"
