"""Which workloads are restarted for a new key, and how long that is said and looked after.

The debt is written into `status.restarting` by the very write that makes a key the current one: whoever comes
after a crash finds it there, and an operator at rest reads no workload. A restart is an annotation of the pod
template that names ApiKey and key, written under the resourceVersion of a workload that was read before the
ApiKey was: the same one twice changes nothing, and none can follow one for a newer key.

Every reveal restarts, the first as well: whoever takes the Secret as optional runs without it. An adoption
restarts nothing, since its value has not changed.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from keywright.api.apikey import Cause
from keywright.api.reasons import EventReason
from keywright.keys.actions import Happening, ReadWorkloads, RestartWorkload
from keywright.keys.generations import spoken
from keywright.keys.workload import ANNOTATION_PREFIX, Missing, Refused, WorkloadView

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from keywright.api.apikey import Generation
    from keywright.api.workload import Workload
    from keywright.keys.facts import Facts

LIMIT = timedelta(hours=1)
_SOONEST, _LATEST = timedelta(seconds=2), timedelta(minutes=1)


def begin(facts: Facts) -> tuple[Workload, ...]:
    """Return what is to be restarted for a generation that becomes the current one by its reveal."""
    return facts.api_key.spec.rollout_restart or () if facts.seen.rollout_restart else ()


def remaining(facts: Facts) -> tuple[Workload, ...]:
    """Return the workloads whose restart is not known to be over."""
    return tuple(workload for workload in _owed(facts) if not _over(facts, workload))


def next_step(facts: Facts) -> tuple[ReadWorkloads | RestartWorkload, tuple[Happening, ...]] | None:
    """Return the next read or restart, and what to tell once it has succeeded.

    Nobody is restarted into a key that has ended: an older one may still serve the pods as they are.
    """
    owed, current = _owed(facts), facts.current
    unread = tuple(workload for workload in owed if workload not in facts.seen.workloads)
    if unread:
        return ReadWorkloads(unread), ()
    if current is None or not facts.current_holds:
        return None
    for workload in owed:
        view = facts.seen.workloads[workload]
        if isinstance(view, WorkloadView) and not _restarted(facts, workload, view):
            name, value = _annotation(facts), _value(current)
            note = f"Restarted the {workload} for the {spoken(current)}"
            note += ": its pods change when they are deleted (OnDelete)" if view.by_hand else ""
            told = _told(current, EventReason.WORKLOAD_RESTARTED, note, str(workload))
            return RestartWorkload(workload, view.resource_version, name, value), (told,)
    return None


def message(facts: Facts, workloads: tuple[Workload, ...]) -> str:
    """Return what the condition Rotating says meanwhile; numbers of pods would each be a write."""
    named = ", ".join(_described(facts, workload) for workload in workloads)
    current = facts.current
    return f"Being restarted for the {spoken(current)}: {named}" if current else f"Being restarted: {named}"


def ends(facts: Facts) -> tuple[Happening, ...]:
    """Return what is to be told of workloads that are given up."""
    current, reason = facts.current, EventReason.WORKLOAD_NOT_RESTARTED
    if current is None:
        return ()
    return tuple(
        _told(current, reason, _why_given_up(facts, workload), str(workload))
        for workload in _owed(facts)
        if _over(facts, workload) and not _as_it_should_be(facts, workload)
    )


def hindrances(facts: Facts) -> Iterator[Happening]:
    """Yield why workloads that the ApiKey lists are not restarted as things stand."""
    current, reason = facts.current, EventReason.WORKLOAD_NOT_RESTARTED
    if current is None:
        return
    if facts.api_key.spec.rollout_restart and not facts.seen.rollout_restart:
        note = "spec.rolloutRestart has no effect: install the chart with rolloutRestart: true"
        yield _told(current, reason, note)
    for workload in _owed(facts):
        found = facts.seen.workloads.get(workload)
        if isinstance(found, Refused):
            yield _told(current, reason, f"The {workload} is not restarted: {found.why}", str(workload))


def moments(facts: Facts) -> Iterator[datetime]:
    """Yield when to look at the workloads again: the longer it takes, the more seldom."""
    if remaining(facts):
        since = facts.seen.restarting_since or facts.now
        yield facts.now + min(max((facts.now - since) / 10, _SOONEST), _LATEST)
        yield since + LIMIT


def _owed(facts: Facts) -> tuple[Workload, ...]:
    """Return what status says is being restarted, as far as it is still listed."""
    listed = facts.api_key.spec.rollout_restart or ()
    if not facts.seen.rollout_restart:
        return ()
    return tuple(workload for workload in facts.status.restarting if workload in listed)


def _over(facts: Facts, workload: Workload) -> bool:
    """Whether nothing is left to do or to wait for: never before it was looked at, however late that is."""
    found = facts.seen.workloads.get(workload)
    if found is None:
        return False
    return isinstance(found, Missing) or _rolled_out(facts, workload) or _too_late(facts)


def _rolled_out(facts: Facts, workload: Workload) -> bool:
    found = facts.seen.workloads.get(workload)
    return isinstance(found, WorkloadView) and found.rolled_out and _restarted(facts, workload, found)


def _as_it_should_be(facts: Facts, workload: Workload) -> bool:
    """Whether nobody need be told how it ended: it has rolled out, or may come a moment after its ApiKey."""
    found, current = facts.seen.workloads.get(workload), facts.current
    comes = isinstance(found, Missing) and current is not None and current.cause is Cause.FIRST
    return comes or _rolled_out(facts, workload)


def _too_late(facts: Facts) -> bool:
    """Whether this process has waited long enough: after an outage the restart itself came late."""
    since = facts.seen.restarting_since
    return since is not None and since + LIMIT <= facts.now


def _restarted(facts: Facts, workload: Workload, view: WorkloadView) -> bool:
    """Whether it was restarted for the current key.

    An annotation that this process has written and somebody has removed is not written again: whoever keeps
    a workload as it was would have it restarted for ever.
    """
    current = facts.current
    known = {view.restarts.get(_annotation(facts)), facts.seen.restarted.get(workload)}
    return current is not None and _value(current) in known


def _annotation(facts: Facts) -> str:
    return ANNOTATION_PREFIX + facts.api_key.metadata.name


def _value(generation: Generation) -> str:
    return f"{generation.revision}.{generation.id}"


def _described(facts: Facts, workload: Workload) -> str:
    found = facts.seen.workloads.get(workload)
    match found:
        case Refused(why=why) | WorkloadView(hindrance=why) if why:
            return f"{workload} ({why})"
    return str(workload)


def _why_given_up(facts: Facts, workload: Workload) -> str:
    match facts.seen.workloads[workload]:
        case Missing():
            return f"The {workload} is not restarted: it does not exist, and will start with the new key"
        case Refused(why=why):
            return f"The {workload} is not restarted: {why}"
    return f"The {workload} has not rolled out after an hour: see kubectl rollout status"


def _told(generation: Generation, reason: EventReason, note: str, subject: str = "") -> Happening:
    return Happening(reason, note, generation.id, generation.revision, subject)
