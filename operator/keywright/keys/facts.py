"""What follows from what was seen, before anything is decided: lifetime, grant, generations as of now.

One derivation serves the decision and the status that reports it, so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, wraps
from typing import TYPE_CHECKING, TypeVar

from keywright.api.apikey import Generation, GenerationState
from keywright.api.meta import parse_duration, round_up
from keywright.api.project import ProjectDefaults, ProjectLimits
from keywright.keys import generations as gens
from keywright.keys import schedule
from keywright.keys.conditions import find
from keywright.keys.generations import Bounds, Generations
from keywright.keys.grants import Denial, Grant, grant
from keywright.keys.rate_limits import effective_rate_limits
from keywright.keys.schedule import Problem
from keywright.keys.secret import SecretView

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from keywright.api.apikey import ApiKey, ApiKeyStatus
    from keywright.api.policy import RateLimit, Rotation
    from keywright.keys.seal import SealingKeys
    from keywright.keys.seen import Refusal, Seen

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """An ApiKey as of now. `generations` are settled (ended by time, revoked) but not yet trimmed.

    What follows from them is worked out once: the decision and the status ask for the same.
    """

    seen: Seen
    now: datetime
    lifetime: timedelta | None
    rotation: Rotation
    problem: Problem | None
    granted: Grant | Denial
    bounds: Bounds
    generations: Generations

    @property
    def api_key(self) -> ApiKey:
        """The ApiKey as it was seen."""
        return self.seen.api_key

    @property
    def status(self) -> ApiKeyStatus:
        """Its status as it was seen."""
        return self.seen.api_key.status

    @property
    def revision(self) -> int:
        """How many generations were revealed so far."""
        return self.status.revision or 0

    @cached_property
    def current(self) -> Generation | None:
        """The Active generation or, once it ended, the last that was."""
        return gens.newest_revealed(self.generations) if self.revision else None

    @cached_property
    def current_holds(self) -> bool:
        """Whether the current generation is Active and its time is not over."""
        current = self.current
        return (
            current is not None
            and current.state is GenerationState.ACTIVE
            and self.bounds.valid(current, self.now)
        )

    @cached_property
    def current_expiry(self) -> datetime | None:
        """When the current generation expires; once it has, that end is never moved on."""
        current = self.current
        if current is None:
            return None
        expiry, told = self.bounds.expiry(current), self.told_expiry
        if current.state is GenerationState.EXPIRED and told is not None:
            return told if expiry is None else min(told, expiry)
        return expiry

    @cached_property
    def told_expiry(self) -> datetime | None:
        """When the current generation expires according to the status, if that speaks of it."""
        return gens.told_expiry(self.status, self.current) if self.current is not None else None

    @property
    def end_moved(self) -> bool:
        """Whether the current generation expires at another time than the status tells yet."""
        expiry = self.current_expiry
        return self.told_expiry != (round_up(expiry) if expiry is not None else None)

    @cached_property
    def pending(self) -> Generations:
        """The generations whose digest is known and whose value may not be."""
        return gens.in_state(self.generations, GenerationState.PENDING)

    @property
    def revoked_whole(self) -> bool:
        """Whether a Revocation of the ApiKey as a whole is, or ever was, in force."""
        return self.seen.revoked_whole is not None or find(self.status.conditions, "Revoked") is not None

    @property
    def sealing(self) -> SealingKeys:
        """The sealing keys; an ApiKey that is being deleted needs, and has, none."""
        if self.seen.sealing is None:
            raise ValueError("no sealing keys were given")
        return self.seen.sealing

    @property
    def refused_lately(self) -> bool:
        """Whether the API server refused the Secret of this very spec and it is too early to try again."""
        refusal = self._refusal
        return refusal is not None and self.now < refusal.retry_at

    @property
    def refused_before(self) -> bool:
        """Whether the API server refused the Secret of this very spec and it is time to try again."""
        refusal = self._refusal
        return refusal is not None and self.now >= refusal.retry_at

    @property
    def _refusal(self) -> Refusal | None:
        refusal = self.seen.refusal
        if refusal is None or refusal.generation != self.api_key.metadata.generation:
            return None
        return refusal

    @cached_property
    def owned_secret(self) -> SecretView | None:
        """The Secret, if it was read and is this ApiKey's."""
        secret = self.seen.secret
        if isinstance(secret, SecretView) and secret.owned_by(self.api_key.metadata.uid):
            return secret
        return None

    @property
    def foreign_secret(self) -> bool:
        """Whether a Secret of the name exists that is not this ApiKey's."""
        return isinstance(self.seen.secret, SecretView) and self.owned_secret is None

    @property
    def rival(self) -> str | None:
        """The name of the ApiKey that the Secret belongs to, if it is another one's."""
        secret = self.seen.secret
        return secret.api_key_name if isinstance(secret, SecretView) and self.foreign_secret else None

    @cached_property
    def carried(self) -> Generation | None:
        """The generation whose value the owned Secret carries: the digest decides, labels are hints."""
        if self.owned_secret is None:
            return None
        digest = self.owned_secret.digest(self.api_key.spec.secret.key)
        return next((g for g in self.generations if g.digest == digest), None)

    @property
    def rate_limits(self) -> tuple[RateLimit, ...] | None:
        """The limits that apply to the key."""
        spec = self.api_key.spec
        return effective_rate_limits(spec.rate_limits, self.seen.project, spec.type)

    def overlap(self, since: datetime) -> timedelta:
        """Return how long a generation stays valid whose successor was revealed at that time."""
        if self.problem is not None and self.rotation.overlap is None:
            return schedule.DEFAULT_OVERLAP
        return schedule.overlap(self.rotation, self.lifetime, since)


def once(function: Callable[[Facts], T]) -> Callable[[Facts], T]:
    """Have a function of the facts worked out once for the same facts, like their own properties."""
    name = f"{function.__module__}.{function.__name__}"

    @wraps(function)
    def answer(facts: Facts) -> T:
        known: dict[str, T] = facts.__dict__
        if name not in known:
            known[name] = function(facts)
        return known[name]

    return answer


def derive(seen: Seen, now: datetime) -> Facts:
    """Work out the facts. Never fails for what a spec may say: what has no meaning becomes `problem`."""
    api_key, project = seen.api_key, seen.project
    defaults = (project and project.spec.defaults) or ProjectDefaults()
    limits = (project and project.spec.limits) or ProjectLimits()
    lifetime = schedule.effective_lifetime(
        api_key.spec.expires_after, defaults.expires_after, limits.max_expires_after
    )
    rotation = schedule.effective_rotation(api_key.spec.rotation, defaults.rotation, lifetime)
    given = api_key.spec.rotation or defaults.rotation
    # Without its Project nobody knows what lifetime a beforeExpiry would count back from.
    judged = given is not None and (project is not None or given.before_expiry is None)
    problem = schedule.problem(given, lifetime, prefix=_origin(api_key)) if given and judged else None
    if seen.unreadable is not None:
        problem = Problem("spec", seen.unreadable)
    maximum = parse_duration(limits.max_expires_after) if limits.max_expires_after else None
    facts = Facts(
        seen=seen,
        now=now,
        lifetime=lifetime,
        rotation=rotation,
        problem=problem,
        granted=grant(project, api_key, seen.namespace_labels, served=seen.project_served),
        bounds=Bounds(api_key.spec.expires_at, maximum),
        generations=api_key.status.keys,
    )
    return _settled(facts)


def _origin(api_key: ApiKey) -> str:
    """Name the field that a person has to mend."""
    if api_key.spec.rotation is not None:
        return "spec.rotation"
    return f"Project {api_key.project}: spec.defaults.rotation"


def _settled(facts: Facts) -> Facts:
    """Apply revocations and the passing of time to the generations."""
    seen, bounds, now = facts.seen, facts.bounds, facts.now
    revoked = {g.id for g in facts.generations if facts.revoked_whole or g.id in seen.revoked}
    settled = gens.latch(facts.generations, revoked, GenerationState.REVOKED)
    if seen.clock_trusted:
        settled = gens.latch(
            settled, gens.outlived(settled, facts.status, bounds, now), GenerationState.EXPIRED
        )
        settled = gens.end_by_time(settled, bounds, now)
        known = seen.project is not None and facts.problem is None
        settled = gens.move_ends(settled, bounds, facts.overlap if known else None, now)
    return replace(facts, generations=settled)
