"""The transitions of `status.keys`: what time, revocation and a new value do to the generations.

    Pending ──activate──► Active ──successor──► Retiring ──overlap over──► Retired
       │                    │                      │
       └──────revoked───────┴───────►Revoked◄──────┘      Active, Retiring ──own end──► Expired

Newest first. Whether a generation is valid is judged by the times alone, by the verifier as here; the
states that end one are written 60 s after the time, because what they say can never be taken back and
clocks differ.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

from keywright.api.apikey import Generation, GenerationState
from keywright.api.meta import round_up

if TYPE_CHECKING:
    from collections.abc import Callable, Container
    from datetime import datetime

    from keywright.api.apikey import ApiKeyStatus

Generations = tuple[Generation, ...]

GRACE = timedelta(seconds=60)
PENDING_LIFE = timedelta(seconds=120)
REVEAL_LIFE = timedelta(seconds=90)  # a request may land 30 s after it was sent, and not after PENDING_LIFE
MAX_PENDING = 3
MAX_VALID = 5
MAX_BESIDE = 4
MAX_ENDED = 3

ENDED = frozenset({GenerationState.RETIRED, GenerationState.EXPIRED, GenerationState.REVOKED})


def spoken(generation: Generation) -> str:
    """Return how a message names a generation to a person."""
    return f"key {generation.id} (revision {generation.revision})"


class Bounds(NamedTuple):
    """What bounds every generation besides its own stamp: `spec.expiresAt` and the Project's maximum."""

    api_key_ends_at: datetime | None = None
    maximum: timedelta | None = None

    def expiry(self, generation: Generation) -> datetime | None:
        """Return when a generation expires: the earliest of its stamp and the bounds."""
        return self.expiry_of(generation.created_at, generation.expires_at)

    def expiry_of(self, created_at: datetime, stamp: datetime | None) -> datetime | None:
        """Return when a generation with these times expires; None: never."""
        end = stamp
        if self.api_key_ends_at is not None:
            end = _first(self.api_key_ends_at, end)
        if self.maximum is not None:
            end = _first(later(created_at, self.maximum), end)
        return end

    def end(self, generation: Generation) -> datetime | None:
        """Return when a generation stops being valid: its expiry or, while Retiring, `retiresAt`."""
        expiry, retires_at = self.expiry(generation), _retires_at(generation)
        return expiry if retires_at is None else _first(retires_at, expiry)

    def valid(self, generation: Generation, now: datetime) -> bool:
        """Whether a verifier accepts the generation now, as far as state and time go."""
        if generation.state in ENDED:
            return False
        end = self.end(generation)
        return end is None or now < end


def told_expiry(status: ApiKeyStatus, generation: Generation) -> datetime | None:
    """Return when a generation expires as the status tells it, which speaks of the current one only."""
    return status.expires_at if status.current_key_id == generation.id else None


def accepted(generation: Generation, status: ApiKeyStatus, bounds: Bounds, now: datetime) -> bool:
    """Whether a verifier accepts the generation: an end that the status told stands once it has passed.

    Moving `spec.expiresAt` or the Project's maximum on, afterwards, revives nothing, also if the operator
    was away when it passed.
    """
    told = told_expiry(status, generation)
    return bounds.valid(generation, now) and (told is None or now < told)


def outlived(generations: Generations, status: ApiKeyStatus, bounds: Bounds, now: datetime) -> frozenset[str]:
    """Name the generations whose end was moved on after it had passed; a new one takes their place.

    One whose end is where it was is none of them: it ends by time, with its grace.
    """
    return frozenset(
        g.id for g in generations if bounds.valid(g, now) and not accepted(g, status, bounds, now)
    )


def later(moment: datetime, length: timedelta) -> datetime:
    """Add, but never past what a datetime can hold: a duration may be 400,000 hours."""
    try:
        return round_up(moment + length)
    except OverflowError:
        return moment.max.replace(microsecond=0, tzinfo=moment.tzinfo)


def _retires_at(generation: Generation) -> datetime | None:
    return generation.retires_at if generation.state is GenerationState.RETIRING else None


def in_state(generations: Generations, state: GenerationState) -> Generations:
    """Return those in a state, newest first."""
    return tuple(generation for generation in generations if generation.state is state)


def newest_revealed(generations: Generations) -> Generation | None:
    """Return the Active generation or, where none is, the newest that is not Pending."""
    active = in_state(generations, GenerationState.ACTIVE)
    others = tuple(g for g in generations if g.state is not GenerationState.PENDING)
    return next(iter(active + others), None)


def latch(generations: Generations, ids: Container[str], state: GenerationState) -> Generations:
    """End those named, for good and at once, whatever overlap they had; an end that came before stays."""
    update = {"state": state, "retiring_since": None, "retires_at": None}
    return tuple(
        g.model_copy(update=update) if g.id in ids and g.state not in ENDED else g for g in generations
    )


def end_by_time(generations: Generations, bounds: Bounds, now: datetime) -> Generations:
    """Write the state of what ended at least 60 s ago.

    Pending ones are left alone: whether their value was revealed decides about them, not the time.
    """
    return tuple(_ended(generation, bounds, now) for generation in generations)


def _ended(generation: Generation, bounds: Bounds, now: datetime) -> Generation:
    end = bounds.end(generation)
    if generation.state in ENDED or generation.state is GenerationState.PENDING:
        return generation
    if end is None or now < end + GRACE:
        return generation
    overlapped = generation.retires_at if generation.state is GenerationState.RETIRING else None
    expiry = bounds.expiry(generation)
    retired = overlapped is not None and (expiry is None or overlapped < expiry)
    state = GenerationState.RETIRED if retired else GenerationState.EXPIRED
    return generation.model_copy(update={"state": state})


def move_ends(
    generations: Generations,
    bounds: Bounds,
    overlap: Callable[[datetime], timedelta] | None,
    now: datetime,
) -> Generations:
    """Recompute `retiresAt` where it has not passed, and never before now.

    `overlap` is None while nobody knows what applies: an expiry that is earlier counts all the same.
    """
    return tuple(_moved(generation, bounds, overlap, now) for generation in generations)


def _moved(
    generation: Generation,
    bounds: Bounds,
    overlap: Callable[[datetime], timedelta] | None,
    now: datetime,
) -> Generation:
    since, until = generation.retiring_since, generation.retires_at
    if generation.state is not GenerationState.RETIRING or since is None or until is None or until <= now:
        return generation
    wish = until if overlap is None else later(since, overlap(since))
    wanted = max(_earliest(wish, bounds.expiry(generation)), round_up(now))
    return generation if wanted == until else generation.model_copy(update={"retires_at": wanted})


def _first(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None or moment < other else other


def _earliest(moment: datetime, other: datetime | None) -> datetime:
    return moment if other is None else min(moment, round_up(other))


def retire_oldest(generations: Generations, bounds: Bounds, now: datetime) -> Generations:
    """End the oldest valid Retiring generation early, to make room for one that cannot wait."""
    for generation in reversed(generations):
        if generation.state is GenerationState.RETIRING and bounds.valid(generation, now):
            retired = generation.model_copy(
                update={"state": GenerationState.RETIRED, "retires_at": round_up(now)}
            )
            return tuple(retired if g.id == generation.id else g for g in generations)
    return generations


def forget_pending(generations: Generations, ids: Container[str]) -> Generations:
    """Drop Pending generations whose value nobody can ever read."""
    return tuple(g for g in generations if not (g.state is GenerationState.PENDING and g.id in ids))


def trim(generations: Generations, bounds: Bounds, now: datetime) -> Generations:
    """Keep the three newest that ended; Pending ones are not counted, whatever their times."""
    ended = [g.id for g in generations if g.state is not GenerationState.PENDING and not bounds.valid(g, now)]
    forgotten = frozenset(ended[MAX_ENDED:])
    return tuple(g for g in generations if g.id not in forgotten)


def activate(
    generations: Generations,
    revealed: Generation,
    *,
    revision: int,
    overlap: timedelta,
    bounds: Bounds,
    now: datetime,
) -> Generations:
    """Make a revealed Pending generation the Active one.

    The one before it retires (or, without overlap, ends at once); with `regenerate` every older one is
    revoked. Older Pending ones go: the reveal of this one changed the Secret under them, so that theirs can
    no longer land. Younger ones stay until they are old enough.
    """
    active = revealed.model_copy(
        update={"state": GenerationState.ACTIVE, "revision": revision, "tokens": None, "regenerate": None}
    )
    younger = in_state(generations[: generations.index(revealed)], GenerationState.PENDING)
    settled = tuple(g for g in generations if g.state is not GenerationState.PENDING)
    if revealed.regenerate:
        settled = latch(settled, {g.id for g in settled}, GenerationState.REVOKED)
    else:
        settled = tuple(_retiring(g, overlap, bounds, now) for g in settled)
    return (*younger, active, *settled)


def _retiring(generation: Generation, overlap: timedelta, bounds: Bounds, now: datetime) -> Generation:
    if generation.state is not GenerationState.ACTIVE:
        return generation
    since = round_up(now)
    if not overlap:
        return generation.model_copy(
            update={"state": GenerationState.RETIRED, "retiring_since": since, "retires_at": since}
        )
    return generation.model_copy(
        update={
            "state": GenerationState.RETIRING,
            "retiring_since": since,
            "retires_at": _earliest(later(since, overlap), bounds.expiry(generation)),
        }
    )
