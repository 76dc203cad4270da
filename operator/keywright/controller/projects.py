"""Projects: their status, and the one ApiKey that a Project may keep for itself."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import structlog
from pydantic import ValidationError

from keywright.api.apikey import ApiKey
from keywright.api.project import Project, ProjectDefaults, ProjectKeys, ProjectLimits, ProjectStatus
from keywright.api.reasons import EventReason, ProjectReason
from keywright.controller.reporting import report, with_ready
from keywright.keys import schedule
from keywright.keys.default_key import DefaultKeyPlan, manifest, name_of, plan
from keywright.kube import paths
from keywright.kube.errors import ApiError
from keywright.kube.events import ObjectReference

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from keywright.controller.cache import Cache
    from keywright.kube.client import Client
    from keywright.kube.events import Recorder

log = structlog.get_logger("keywright.project")

# One hot object must not cost a write per mint.
DEBOUNCE = timedelta(seconds=5)
_NOT_FOUND, _CONFLICT = 404, 409
# Longer than any lifetime: of a default rotation without a default lifetime only cron and zone can be judged.
_ANY_LIFETIME = timedelta(days=100_000)


class Projects:
    """Brings Projects in line."""

    def __init__(
        self, client: Client, cache: Cache, recorder: Recorder, *, clock: Callable[[], datetime]
    ) -> None:
        self._client = client
        self._cache = cache
        self._recorder = recorder
        self._clock = clock
        self._looked: dict[str, tuple[datetime, int]] = {}

    async def reconcile(self, name: str) -> float | None:
        """Write the status, and create or delete the default key.

        Each change of one of its ApiKeys wakes a Project, so it looks at most every 5 s, and at once only
        when its own spec has changed.
        """
        obj = self._cache.get("project", name)
        if obj is None or "deletionTimestamp" in obj["metadata"]:
            self._looked.pop(name, None)
            return None
        now, generation = self._clock(), obj["metadata"]["generation"]
        last, seen = self._looked.get(name, (now - DEBOUNCE, generation))
        rest: timedelta = last + DEBOUNCE - now
        if seen == generation and timedelta(0) < rest <= DEBOUNCE:  # more: the clock was set back
            return rest.total_seconds()
        try:
            project = Project.model_validate(obj)
        except ValidationError as error:
            await self._report_unreadable(obj, error)
            return None
        await self._report(project, now)  # first: that the default key may not be created is no fault of it
        await self._keep_default_key(project)
        self._looked[name] = now, generation
        return None

    async def _report(self, project: Project, now: datetime) -> None:
        status = _status(project, self._count(project), now)
        if status != project.status:
            await report(self._client, self._cache, project, status)

    def _count(self, project: Project) -> ProjectKeys:
        keys = self._cache.summaries_of(_name(project))
        return ProjectKeys(
            total=len(keys),
            ready=sum(key.ready for key in keys),
            retiring=sum(key.retiring for key in keys),
        )

    async def _report_unreadable(self, obj: dict[str, Any], error: ValidationError) -> None:
        """Say which field cannot be read; of the rest of the status nothing is known to be wrong."""
        wrong = next(iter(error.errors(include_input=False, include_url=False)))
        field = ".".join(str(part) for part in wrong["loc"])
        log.error(
            "a Project cannot be read",
            project=f"{obj['metadata']['namespace']}/{obj['metadata']['name']}",
            field=field,
        )
        stub = Project.model_validate({"metadata": obj["metadata"]})
        status = _with_ready(stub, ProjectReason.INVALID_SPEC, f"{field}: {wrong['msg']}", self._clock())
        if obj.get("status", {}).get("conditions") != status.wire()["conditions"]:
            await report(self._client, self._cache, stub, status)

    async def _keep_default_key(self, project: Project) -> None:
        obj = self._cache.get("apikey", f"{project.metadata.namespace}/{name_of(project)}")
        existing = ApiKey.model_validate(obj) if obj is not None else None
        path = paths.api_key(project.metadata.namespace, name_of(project))
        match plan(project, existing):
            case DefaultKeyPlan.CREATE:
                await self._create_default_key(project)
            case DefaultKeyPlan.UPDATE if existing is not None:
                wanted = {"scopes": manifest(project)["spec"].get("scopes")}
                body = {"metadata": {"resourceVersion": existing.metadata.resource_version}, "spec": wanted}
                self._cache.put("apikey", await self._client.merge_patch(path, body))
            case DefaultKeyPlan.DELETE if existing is not None:
                await self._delete_default_key(path, existing)
            case DefaultKeyPlan.CONFLICT:
                self._tell_conflict(project)

    async def _create_default_key(self, project: Project) -> None:
        try:
            answer = await self._client.create(paths.api_keys(project.metadata.namespace), manifest(project))
        except ApiError as error:
            if error.status != _CONFLICT:
                raise
            path = paths.api_key(project.metadata.namespace, name_of(project))
            answer = await self._client.get(path)
        else:
            log.info("Created the default key", project=_name(project), api_key=name_of(project))
        self._cache.put("apikey", answer)

    async def _delete_default_key(self, path: str, existing: ApiKey) -> None:
        try:
            await self._client.delete(path, uid=existing.metadata.uid)
            log.info("Deleted the default key", api_key=existing.name)
        except ApiError as error:
            if error.status not in {_NOT_FOUND, _CONFLICT}:
                raise

    def _tell_conflict(self, project: Project) -> None:
        metadata = project.metadata
        note = (
            f"spec.defaultKey: the ApiKey {name_of(project)} exists and is not this Project's: "
            "delete it, or remove defaultKey"
        )
        log.warning(note, event_reason=EventReason.DEFAULT_KEY_CONFLICT.value, project=_name(project))
        self._recorder.emit(
            regarding=ObjectReference("Project", metadata.namespace, metadata.name, metadata.uid),
            reason=EventReason.DEFAULT_KEY_CONFLICT,
            note=note,
            action="CreateDefaultKey",
            key=name_of(project),
        )


def _name(project: Project) -> str:
    return f"{project.metadata.namespace}/{project.metadata.name}"


def _status(project: Project, counts: ProjectKeys, now: datetime) -> ProjectStatus:
    problem = _problem(project)
    if problem is None:
        reason, message = ProjectReason.ACCEPTED, ProjectReason.ACCEPTED.sentence.removesuffix(".")
    else:
        reason, message = ProjectReason.INVALID_SPEC, f"{problem.field}: {problem.message}"
    return _with_ready(project, reason, message, now).model_copy(update={"keys": counts})


def _with_ready(project: Project, reason: ProjectReason, message: str, now: datetime) -> ProjectStatus:
    accepted = reason is ProjectReason.ACCEPTED
    return with_ready(
        project.status,
        holds=accepted,
        stalled=not accepted,
        reason=reason,
        message=message,
        now=now,
        generation=project.metadata.generation,
    )


def _problem(project: Project) -> schedule.Problem | None:
    """Return what is wrong with the defaults whoever uses them."""
    defaults = project.spec.defaults or ProjectDefaults()
    limits = project.spec.limits or ProjectLimits()
    if defaults.rotation is None:
        return None
    lifetime = schedule.effective_lifetime(None, defaults.expires_after, limits.max_expires_after)
    return schedule.problem(defaults.rotation, lifetime or _ANY_LIFETIME, prefix="spec.defaults.rotation")
