"""What applies to an ApiKey by its spec, its Project and its namespace, whatever became of its keys so far.

Of one spec, one Project and the same labels it is always the same: a pass works it out once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from keywright.api.meta import parse_duration
from keywright.api.project import ProjectDefaults, ProjectLimits
from keywright.keys import schedule
from keywright.keys.generations import Bounds
from keywright.keys.grants import Denial, Grant, grant
from keywright.keys.schedule import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from keywright.api.apikey import ApiKey
    from keywright.api.policy import Rotation
    from keywright.api.project import Project

_NO_DEFAULTS, _NO_LIMITS = ProjectDefaults(), ProjectLimits()


class Terms(NamedTuple):
    """Lifetime and rotation after defaults, what is wrong with them, what is granted, and every end."""

    lifetime: timedelta | None
    rotation: Rotation
    problem: Problem | None
    granted: Grant | Denial
    bounds: Bounds

    def overlap(self, since: datetime) -> timedelta:
        """Return how long a generation stays valid whose successor was revealed at that time."""
        if self.problem is not None and self.rotation.overlap is None:
            return schedule.DEFAULT_OVERLAP
        return schedule.overlap(self.rotation, self.lifetime, since)


def terms_of(
    api_key: ApiKey,
    project: Project | None,
    namespace_labels: Mapping[str, str] | None,
    *,
    project_served: bool,
    unreadable: str | None,
) -> Terms:
    """Work them out. Never fails for what a spec may say: what has no meaning becomes `problem`.

    The arguments are those of `Seen`.
    """
    spec = api_key.spec
    defaults = (project and project.spec.defaults) or _NO_DEFAULTS
    limits = (project and project.spec.limits) or _NO_LIMITS
    lifetime = schedule.effective_lifetime(
        spec.expires_after, defaults.expires_after, limits.max_expires_after
    )
    given = spec.rotation or defaults.rotation
    # Without its Project nobody knows what lifetime a beforeExpiry would count back from.
    judged = given is not None and (project is not None or given.before_expiry is None)
    problem = schedule.problem(given, lifetime, prefix=_origin(api_key)) if given and judged else None
    if unreadable is not None:
        problem = Problem("spec", unreadable)
    maximum = parse_duration(limits.max_expires_after) if limits.max_expires_after else None
    return Terms(
        lifetime=lifetime,
        rotation=schedule.effective_rotation(spec.rotation, defaults.rotation, lifetime),
        problem=problem,
        granted=grant(project, api_key, namespace_labels, served=project_served),
        bounds=Bounds(spec.expires_at, maximum),
    )


def _origin(api_key: ApiKey) -> str:
    """Name the field that a person has to mend."""
    if api_key.spec.rotation is not None:
        return "spec.rotation"
    return f"Project {api_key.project}: spec.defaults.rotation"
