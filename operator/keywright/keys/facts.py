"""What follows from what was seen, before anything is decided: lifetime, grant, generations as of now.

One derivation serves the decision and the status that reports it, so the two cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, wraps
from typing import TYPE_CHECKING, TypeVar

from keywright.api.apikey import Generation, GenerationState
from keywright.api.meta import round_up
from keywright.keys import generations as gens
from keywright.keys.conditions import find
from keywright.keys.rate_limits import effective_rate_limits
from keywright.keys.secret import SecretView
from keywright.keys.terms import terms_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime, timedelta

    from keywright.api.apikey import ApiKey, ApiKeyStatus
    from keywright.api.policy import RateLimit, Rotation
    from keywright.keys.generations import Bounds, Generations
    from keywright.keys.grants import Denial, Grant
    from keywright.keys.schedule import Problem
    from keywright.keys.seal import SealingKeys
    from keywright.keys.seen import Refusal, Seen
    from keywright.keys.terms import Terms

T = TypeVar("T")


@dataclass(frozen=True)
class Facts:
    """An ApiKey as of now. `generations` are settled (ended by time, revoked) but not yet trimmed.

    What follows from them is worked out once: the decision and the status ask for the same.
    """

    seen: Seen
    now: datetime
    terms: Terms
    generations: Generations

    @property
    def lifetime(self) -> timedelta | None:
        """How long a generation minted now lives; None: without end."""
        return self.terms.lifetime

    @property
    def rotation(self) -> Rotation:
        """When the current generation is replaced."""
        return self.terms.rotation

    @property
    def problem(self) -> Problem | None:
        """What is wrong with the spec, or with the default that it takes."""
        return self.terms.problem

    @property
    def granted(self) -> Grant | Denial:
        """What the Project grants."""
        return self.terms.granted

    @property
    def bounds(self) -> Bounds:
        """What ends every generation, beside its own stamp."""
        return self.terms.bounds

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
        return _revoked_whole(self.seen)

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
        return self.terms.overlap(since)


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
    terms = seen.terms or terms_of(
        seen.api_key,
        seen.project,
        seen.namespace_labels,
        project_served=seen.project_served,
        unreadable=seen.unreadable,
    )
    return Facts(seen, now, terms, _settled(seen, terms, now))


def _settled(seen: Seen, terms: Terms, now: datetime) -> Generations:
    """Apply revocations and the passing of time to the generations."""
    status, bounds = seen.api_key.status, terms.bounds
    settled = status.keys
    if not settled:
        return settled
    whole = _revoked_whole(seen)
    if whole or seen.revoked:
        revoked = {g.id for g in settled if whole or g.id in seen.revoked}
        settled = gens.latch(settled, revoked, GenerationState.REVOKED)
    if seen.clock_trusted:
        settled = gens.latch(settled, gens.outlived(settled, status, bounds, now), GenerationState.EXPIRED)
        settled = gens.end_by_time(settled, bounds, now)
        known = seen.project is not None and terms.problem is None
        settled = gens.move_ends(settled, bounds, terms.overlap if known else None, now)
    return settled


def _revoked_whole(seen: Seen) -> bool:
    return seen.revoked_whole is not None or find(seen.api_key.status.conditions, "Revoked") is not None
