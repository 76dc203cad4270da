"""Carries out one action: one request, whose answer goes into the cache and is the next plan's input.

404 and 409 are outcomes: somebody else was faster, so the pass looks again. A refusal of the Secret is
one too. Everything else goes to the queue, which waits and has the pass repeated.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import structlog

from keywright.api.apikey import Cause
from keywright.controller.cache import SECRET, version_of
from keywright.controller.reporting import status_manifest
from keywright.controller.workloads import Workloads
from keywright.errors import KeywrightError
from keywright.keys import actions
from keywright.keys.deletion import FINALIZER
from keywright.keys.quoting import quotes
from keywright.keys.raw import RawKey
from keywright.keys.revocations import record_manifest, record_name
from keywright.keys.secret import SecretView
from keywright.keys.seen import Absent, Unread
from keywright.keys.workload import WorkloadView
from keywright.kube import paths
from keywright.kube.errors import ApiError, TransportError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.controller.arrivals import Arrivals
    from keywright.controller.cache import Cache
    from keywright.controller.memory import Memory
    from keywright.controller.ports import Tally
    from keywright.controller.revocations import Revocations
    from keywright.controller.sight import Looked, Sight
    from keywright.kube.client import Client, Object

log = structlog.get_logger("keywright.apikey")

_FORBIDDEN, _NOT_FOUND, _CONFLICT, _TOO_LARGE, _INVALID = 403, 404, 409, 413, 422
_REFUSALS = frozenset({_FORBIDDEN, _TOO_LARGE, _INVALID})
_TERMINATING = "NamespaceTerminating"
_EXPLANATION = 1024  # characters of a refusal that a condition shows


class HeldError(KeywrightError):
    """A Secret that should be replaced cannot go."""

    code = "secret_held"


class Acting:
    """Knows how each action is a request."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        sight: Sight,
        revocations: Revocations,
        *,
        system_namespace: str,
        clock: Callable[[], datetime],
        arrivals: Arrivals,
        tally: Tally,
    ) -> None:
        self._client = client
        self._workloads = Workloads(client)
        self._cache = cache
        self._sight = sight
        self._revocations = revocations
        self._system_namespace = system_namespace
        self._clock = clock
        self._arrivals = arrivals
        self._tally = tally

    async def act(self, action: actions.Action, api_key: ApiKey, memory: Memory, looked: Looked) -> bool:
        """Carry out one action; return whether it was, rather than overtaken by somebody else's write.

        Raises ApiError and TransportError for what only waiting can mend.
        """
        try:
            return await self._carry_out(action, api_key, memory, looked)
        except (ApiError, TransportError) as error:
            self._count_failure(action, error)
            raise

    async def _carry_out(
        self, action: actions.Action, api_key: ApiKey, memory: Memory, looked: Looked
    ) -> bool:
        match action:
            case actions.ReadSecret() | actions.ReadNamespace() | actions.ReadWorkloads():
                await self._read(action, api_key, memory, looked)
                done = True
            case actions.WriteStatus():
                done = await self._write_status(action, api_key, memory, looked)
            case actions.WriteSecret():
                done = await self._write_secret(action, api_key, memory, looked)
            case actions.DeleteSecret():
                done = await self._delete_secret(action, api_key, looked)
            case actions.RestartWorkload():
                done = await self._restart(action, api_key, memory, looked)
            case actions.CreateRecord():
                done = await self._create_record(action, api_key, looked)
            case actions.AddFinalizer():
                wanted = (*api_key.metadata.finalizers, FINALIZER)
                done = await self._set_finalizers(api_key, wanted, memory, looked)
            case actions.RemoveFinalizer():
                wanted = tuple(name for name in api_key.metadata.finalizers if name != FINALIZER)
                memory.finished = done = await self._set_finalizers(api_key, wanted, memory, looked)
        return done

    async def _read(
        self,
        action: actions.ReadSecret | actions.ReadNamespace | actions.ReadWorkloads,
        api_key: ApiKey,
        memory: Memory,
        looked: Looked,
    ) -> None:
        namespace = api_key.metadata.namespace
        match action:
            case actions.ReadSecret():
                await self._read_secret(api_key, memory, looked)
                if memory.held:
                    # A value may be revealed over what was just read only by who knows all that is published:
                    # another process may have published and revealed since this ApiKey was cached.
                    await self._reread(api_key)
            case actions.ReadNamespace():
                looked.namespace_terminating = await self._sight.namespace_terminating(namespace)
            case actions.ReadWorkloads():
                looked.workloads |= await self._workloads.read(namespace, action.workloads)
                memory.workloads_read(api_key.status.current_key_id, self._clock())
                # Else a process that has slept would restart them for a key that is no longer current.
                await self._reread(api_key)

    async def _write_status(
        self, action: actions.WriteStatus, api_key: ApiKey, memory: Memory, looked: Looked
    ) -> bool:
        if action.publishes is not None:
            # Before it is sent: should the answer be lost, the value must still be at hand.
            memory.held[action.publishes.id] = action.publishes
        path = paths.api_key_status(api_key.metadata.namespace, api_key.metadata.name)
        body = status_manifest(api_key, action.status)
        arrived = self._arrivals.time_of(api_key)  # the watch may tell of this write before its answer comes
        if not await self._written(self._client.replace(path, body), api_key, memory, looked):
            return False
        if action.activates is not None and action.status.current_key_id is not None:
            memory.revealed(action.status.current_key_id)
            looked.workloads.clear()
            if action.activates is Cause.FIRST and arrived is not None:
                self._tally.waited((self._clock() - arrived).total_seconds())
            self._tally.minted(action.activates)
        return True

    async def _write_secret(
        self, action: actions.WriteSecret, api_key: ApiKey, memory: Memory, looked: Looked
    ) -> bool:
        manifest = dict(action.manifest)
        namespace, name = api_key.metadata.namespace, manifest["metadata"]["name"]
        if action.reveals is not None:
            self._cache.revealing(api_key.name)
        try:
            if "uid" in manifest["metadata"]:
                answer = await self._client.replace(paths.secret(namespace, name), manifest)
            else:
                answer = await self._client.create(paths.secrets(namespace), manifest)
        except TransportError:
            memory.sent.update({action.reveals} if action.reveals else ())
            raise
        except ApiError as error:
            if error.status in {_CONFLICT, _NOT_FOUND}:
                if action.reveals is not None and "uid" not in manifest["metadata"]:
                    memory.refused.update({action.reveals} - memory.sent)  # another one is there
                looked.secret = Unread()
                return False
            if action.reveals is not None and _TERMINATING in error.causes:
                looked.namespace_terminating = True
                memory.refused.update({action.reveals} - memory.sent)
                return False
            if error.status in _REFUSALS:
                self._count_failure(action, error)
                explanation = _explanation(error, manifest, api_key.spec.secret.key)
                memory.refuse(action.reveals, explanation, api_key.metadata.generation, self._clock())
                log.warning(
                    "the Secret was refused", api_key=api_key.name, key_id=action.reveals, error=str(error)
                )
                return False
            memory.sent.update({action.reveals} if action.reveals else ())
            raise
        memory.accepted()
        self._take_over(answer, memory, looked)
        return True

    async def _read_secret(self, api_key: ApiKey, memory: Memory, looked: Looked) -> None:
        path = paths.secret(api_key.metadata.namespace, api_key.secret_name)
        try:
            answer = await self._client.get(path)
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            looked.secret = Absent()
        else:
            self._take_over(answer, memory, looked)

    def _take_over(self, answer: Object, memory: Memory, looked: Looked) -> None:
        """Go on with a Secret as it was read or written; the watch need not tell of it."""
        self._cache.put(SECRET, answer)
        memory.secret_seen = max(memory.secret_seen, version_of(answer))
        looked.secret = SecretView.of(answer)

    def _count_failure(self, action: actions.Action, error: ApiError | TransportError) -> None:
        match action:
            case actions.WriteSecret(reveals=str()):
                step = "reveal"
            case actions.WriteStatus(publishes=RawKey()):
                step = "publish"
            case actions.WriteStatus(activates=Cause()):
                step = "activate"
            case _:
                return
        self._tally.mint_failed(step, str(error.status) if isinstance(error, ApiError) else error.code)

    async def _delete_secret(self, action: actions.DeleteSecret, api_key: ApiKey, looked: Looked) -> bool:
        path = paths.secret(api_key.metadata.namespace, api_key.secret_name)
        try:
            answer = await self._client.delete(path, uid=action.uid, resource_version=action.resource_version)
        except ApiError as error:
            if error.status not in {_NOT_FOUND, _CONFLICT}:
                raise
            looked.secret = Unread()
            return error.status == _NOT_FOUND
        held = answer.get("kind") == "Secret" and answer["metadata"].get("finalizers")
        if held and api_key.metadata.deletion_timestamp is None:
            raise HeldError(
                "a finalizer holds the Secret: whoever set it must remove it", object=api_key.name
            )
        looked.secret = Absent()
        return True

    async def _restart(
        self, action: actions.RestartWorkload, api_key: ApiKey, memory: Memory, looked: Looked
    ) -> bool:
        found = await self._workloads.restart(api_key.metadata.namespace, action)
        if found is None:
            looked.workloads.pop(action.workload)
            return False
        looked.workloads[action.workload] = found
        if not isinstance(found, WorkloadView):
            return False
        memory.restarted[action.workload] = action.value
        return True

    async def _create_record(self, action: actions.CreateRecord, api_key: ApiKey, looked: Looked) -> bool:
        """Create a record; where the system namespace is going or gone, nobody could read one."""
        manifest = record_manifest(action, api_key)
        try:
            answer = await self._client.create(paths.revocations(self._system_namespace), manifest)
        except ApiError as error:
            if error.status == _CONFLICT:
                name = record_name(action.key_id)
                answer = await self._client.get(paths.revocation(self._system_namespace, name))
                if answer["spec"].get("keyID") != action.key_id:
                    return self._without_record(action, api_key, looked, "its name is taken by another one")
            elif await self._nowhere(error):
                return self._without_record(action, api_key, looked, "the system namespace is going")
            else:
                raise
        self._cache.put("revocation", answer)
        self._revocations.observe(None, answer)
        return True

    async def _nowhere(self, error: ApiError) -> bool:
        """Whether a record was refused because the system namespace is going or gone.

        What goes with it first may be the right to write there: the refusal does not tell then.
        """
        if _TERMINATING in error.causes or error.status == _NOT_FOUND:
            return True
        namespace = self._system_namespace
        return error.status == _FORBIDDEN and await self._sight.namespace_terminating(namespace)

    def _without_record(
        self, action: actions.CreateRecord, api_key: ApiKey, looked: Looked, why: str
    ) -> bool:
        log.warning("no record of a revocation", api_key=api_key.name, key_id=action.key_id, why=why)
        looked.records_possible = False
        return False

    async def _set_finalizers(
        self, api_key: ApiKey, wanted: tuple[str, ...], memory: Memory, looked: Looked
    ) -> bool:
        metadata = api_key.metadata
        body = {
            "metadata": {
                "uid": metadata.uid,
                "resourceVersion": metadata.resource_version,
                "finalizers": list(wanted),
            }
        }
        path = paths.api_key(metadata.namespace, metadata.name)
        return await self._written(self._client.merge_patch(path, body), api_key, memory, looked)

    async def _written(
        self, request: Awaitable[Object], api_key: ApiKey, memory: Memory, looked: Looked
    ) -> bool:
        """Await a write of the ApiKey itself and take its answer over; overtaken, read what is there now."""
        try:
            answer = await request
        except ApiError as error:
            if error.status in _REFUSALS and api_key.metadata.deletion_timestamp is not None:
                looked.reporting_possible = False  # a status that is refused must not hold up a deletion
                return False
            if error.status not in {_CONFLICT, _NOT_FOUND}:
                raise
            looked.secret = Unread()
            await self._reread(api_key)
            return False
        metadata = answer["metadata"]
        if "deletionTimestamp" in metadata and not metadata.get("finalizers"):
            self._cache.remove("apikey", api_key.name, resource_version=metadata["resourceVersion"])
        else:
            self._cache.put("apikey", answer)
        memory.written = int(metadata["resourceVersion"])
        return True

    async def _reread(self, api_key: ApiKey) -> None:
        metadata = api_key.metadata
        try:
            self._cache.put(
                "apikey", await self._client.get(paths.api_key(metadata.namespace, metadata.name))
            )
        except ApiError as error:
            if error.status != _NOT_FOUND:
                raise
            self._cache.remove("apikey", api_key.name)


def _explanation(error: ApiError, manifest: dict[str, Any], key: str) -> str:
    """Return the API server's reason, unless it quotes the value: a policy's message may hold anything."""
    text = error.explanation or error.reason or f"status {error.status}"
    raw = SecretView.of(manifest).raw_key(key)
    if raw is None or quotes(text, raw):
        return "its message quotes the value and is not shown"
    return text[:_EXPLANATION]
