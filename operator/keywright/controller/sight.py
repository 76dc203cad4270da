"""What a pass sees: the cached objects, and what it reads live where the plan asks for it."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from keywright.api.apikey import ApiKey, ApiKeySpec, Generation, SecretTemplate
from keywright.api.meta import Ref
from keywright.api.project import Project
from keywright.controller.cache import NAMESPACE, SECRET
from keywright.errors import KeywrightError
from keywright.keys import grants
from keywright.keys.secret import SecretView
from keywright.keys.seen import Absent, Seen, Unread, Watched
from keywright.keys.terms import Terms, terms_of
from keywright.kube import paths
from keywright.kube.errors import ApiError

if TYPE_CHECKING:
    from keywright.api.workload import Workload
    from keywright.controller.cache import Cache
    from keywright.controller.memory import Memory
    from keywright.controller.ports import Options, Watching
    from keywright.controller.revocations import Revocations
    from keywright.controller.sealing import Sealing
    from keywright.keys.usage import Ledger
    from keywright.keys.workload import Found
    from keywright.kube.client import Client

MAX_SKEW = timedelta(seconds=30)
_FORBIDDEN, _NOT_FOUND = 403, 404


class UnreadableStatusError(KeywrightError):
    """A status that is none: nothing is written over it, since it may be all that is known of live keys."""

    code = "unreadable_status"


class _Found(NamedTuple):
    """The terms of an ApiKey, and what they were worked out from."""

    api_key: ApiKey
    project: Project | None
    labels: dict[str, str] | None
    unreadable: str | None
    terms: Terms

    def of(self, api_key: ApiKey, project: Project | None, labels: dict[str, str] | None) -> bool:
        """Whether they still are those of an ApiKey."""
        return self.api_key.spec is api_key.spec and self.project is project and self.labels == labels


@dataclass(slots=True)
class Looked:
    """What this pass has read live so far; None: not yet."""

    secret: SecretView | Absent | Unread = field(default_factory=Unread)
    namespace_terminating: bool | None = None
    namespace_labels: dict[str, str] | None = None
    records_possible: bool = True
    reporting_possible: bool = True
    workloads: dict[Workload, Found] = field(default_factory=dict)
    found: _Found | None = None


class Sight:
    """Builds the input of the plan."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        revocations: Revocations,
        sealing: Sealing,
        options: Options,
        watching: Watching,
        usage: Ledger,
    ) -> None:
        self._client = client
        self._cache = cache
        self._revocations = revocations
        self._sealing = sealing
        self._realm = options.realm
        self._rollout_restart = options.rollout_restart
        self._watching = watching
        self._usage = usage
        self._projects: dict[str, tuple[tuple[str, int], Project | None, bool]] = {}

    async def see(self, obj: dict[str, Any], memory: Memory, looked: Looked) -> Seen:
        """Gather all that decides about an ApiKey.

        Raises UnreadableStatusError; a spec that cannot be read is a finding, not an error.
        """
        api_key, unreadable = _parsed(obj, looked.found)
        memory.forget_settled(api_key)
        project, readable = self._project(api_key)
        ids = _ids(api_key, looked.secret)
        deleting = api_key.metadata.deletion_timestamp is not None
        labels = await self._namespace_labels(project, api_key, looked)
        served = self._realm.includes("project", api_key.project.partition("/")[0])
        found = looked.found
        if found is None or not found.of(api_key, project, labels):
            terms = terms_of(api_key, project, labels, project_served=served, unreadable=unreadable)
            found = looked.found = _Found(api_key, project, labels, unreadable, terms)
        return Seen(
            api_key=api_key,
            project=project,
            # A deletion needs nothing but the API server: sealing keys that are lost must not hold it up.
            sealing=None if deleting else await self._sealing.keys(),
            secret=looked.secret,
            project_readable=readable,
            project_served=served,
            unreadable=unreadable,
            namespace_labels=labels,
            terms=found.terms,
            namespace_terminating=looked.namespace_terminating,
            siblings=self._cache.counts_before(api_key.name),
            verified=memory.verified,
            watched=self._watched(api_key),
            held=memory.held,
            refused=frozenset(memory.refused),
            refusal=memory.refusal,
            revoked=self._revocations.of_generations(api_key, ids),
            revoked_whole=self._revocations.of_whole(api_key),
            recorded=self._revocations.recorded(ids),
            records_possible=looked.records_possible,
            reporting_possible=looked.reporting_possible,
            clock_trusted=clock_trusted(self._client),
            rollout_restart=self._rollout_restart,
            restarting_since=memory.restarting_since(api_key.status.current_key_id),
            workloads=looked.workloads,
            restarted=memory.restarted,
            foreign_digests=self._foreign_digests(api_key, looked.secret),
            last_used=self._usage.of(api_key),
        )

    def presumed_secret(self, obj: dict[str, Any]) -> Absent | Unread:
        """Return what to take for granted of the Secret: a new ApiKey has none if the watch knows none."""
        metadata = obj["metadata"]
        namespace = metadata["namespace"]
        secret = ((obj.get("spec") or {}).get("secret") or {}).get("name") or metadata["name"]
        known = self._cache.version(SECRET, f"{namespace}/{secret}")
        new = not (obj.get("status") or {}).get("conditions") and "deletionTimestamp" not in metadata
        return Absent() if new and known is None and self._watching(SECRET, namespace) else Unread()

    async def namespace_terminating(self, name: str) -> bool:
        """Read whether a Namespace is going or gone. Where it may not be read, a refused write will tell."""
        try:
            namespace = await self._client.get(paths.namespace(name))
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND}:
                raise
            return error.status == _NOT_FOUND
        return "deletionTimestamp" in namespace["metadata"]

    async def _namespace(self, name: str) -> dict[str, Any] | None:
        try:
            return await self._client.get(paths.namespace(name))
        except ApiError as error:
            if error.status not in {_FORBIDDEN, _NOT_FOUND}:
                raise
            return None

    def _project(self, api_key: ApiKey) -> tuple[Project | None, bool]:
        """Return the Project and whether it can be read; parsed once for all its ApiKeys."""
        name = api_key.project
        version = self._cache.version("project", name)
        known = self._projects.get(name)
        if version is None:
            self._projects.pop(name, None)
            return None, True
        if known is None or known[0] != version:
            known = self._projects[name] = (version, *self._parsed_project(name))
        return known[1:]

    def _parsed_project(self, name: str) -> tuple[Project | None, bool]:
        obj = self._cache.get("project", name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            return None, True
        try:
            return Project.model_validate(obj), True
        except ValidationError:
            return None, False

    async def _namespace_labels(
        self, project: Project | None, api_key: ApiKey, looked: Looked
    ) -> dict[str, str] | None:
        """Read the labels of the ApiKey's namespace, once a pass and only where a selector asks for them."""
        if not grants.chooses_by_label(project) or api_key.metadata.deletion_timestamp is not None:
            return {}
        if looked.namespace_labels is None:
            name = api_key.metadata.namespace
            # Not told of yet: ApiKeys and Namespaces come by different watches.
            namespace = self._known_namespace(name) or await self._namespace(name)
            looked.namespace_labels = None if namespace is None else namespace["metadata"].get("labels") or {}
        return looked.namespace_labels

    def _known_namespace(self, name: str) -> dict[str, Any] | None:
        return self._cache.get(NAMESPACE, f"/{name}") if self._watching(NAMESPACE, name) else None

    def _watched(self, api_key: ApiKey) -> Watched | None:
        namespace = api_key.metadata.namespace
        if not self._watching(SECRET, namespace):
            return None
        known = self._cache.version(SECRET, f"{namespace}/{api_key.secret_name}")
        return Watched(str(known[1]) if known is not None else None)

    def _foreign_digests(self, api_key: ApiKey, secret: SecretView | Absent | Unread) -> frozenset[str]:
        """Name the digest in an owned Secret if another ApiKey has it too: it is not adopted then."""
        if api_key.status.revision or not isinstance(secret, SecretView):
            return frozenset()
        digest = secret.digest(api_key.spec.secret.key)
        if digest is None or any(generation.digest == digest for generation in api_key.status.keys):
            return frozenset()
        holders = self._cache.mentioning("apikey", digest)
        return frozenset({digest} if set(holders) - {api_key.name} else ())


def clock_trusted(client: Client) -> bool:
    """Whether the clock here is near enough to the API server's for what time decides for good."""
    return client.skew is None or abs(client.skew) <= MAX_SKEW


def _ids(api_key: ApiKey, secret: SecretView | Absent | Unread) -> list[str]:
    """Name the generations in question: the status's, and the one in the Secret, which may be adopted."""
    ids = [generation.id for generation in api_key.status.keys]
    carried = secret.raw_key(api_key.spec.secret.key) if isinstance(secret, SecretView) else None
    return ids if carried is None else [*ids, carried.id]


def _parsed(obj: dict[str, Any], before: _Found | None) -> tuple[ApiKey, str | None]:
    """Read an ApiKey; its spec is not read again while it is that of the same generation."""
    if before is not None:
        metadata = before.api_key.metadata
        same = (metadata.uid, metadata.generation)
        if same == (obj["metadata"]["uid"], obj["metadata"].get("generation", 0)):
            with contextlib.suppress(ValidationError):
                return ApiKey.model_validate({**obj, "spec": before.api_key.spec}), before.unreadable
    return parse(obj)


def parse(obj: dict[str, Any]) -> tuple[ApiKey, str | None]:
    """Read an ApiKey; one whose spec has no meaning keeps its status, and says which field is wrong.

    Raises UnreadableStatusError, unless the ApiKey is being deleted: of such a status the generations count
    that can be read.
    """
    try:
        return ApiKey.model_validate(obj), None
    except ValidationError as error:
        wrong = next(iter(error.errors(include_input=False, include_url=False)))
    field = ".".join(str(part) for part in wrong["loc"])
    status = obj.get("status") or {}
    if "deletionTimestamp" in obj["metadata"]:
        status = {**_legible(status), "secretName": status.get("secretName")}
    template = SecretTemplate(name=status.get("secretName"))
    spec = ApiKeySpec(project_ref=Ref(name="unreadable"), secret=template)
    try:
        readable = ApiKey.model_validate({**obj, "spec": spec.wire(), "status": status})
    except ValidationError:
        raise UnreadableStatusError("the status cannot be read: restore it", field=field) from None
    if wrong["loc"][:1] == ("status",) and "deletionTimestamp" not in obj["metadata"]:
        raise UnreadableStatusError("the status cannot be read: restore it", field=field)
    return readable, f"{field}: {wrong['msg']}"


def _legible(status: dict[str, Any]) -> dict[str, Any]:
    """Return the generations of a status that can be read."""
    legible = []
    for entry in status.get("keys") or ():
        with contextlib.suppress(ValidationError):
            legible.append(Generation.model_validate(entry).wire())
    return {"keys": legible}
