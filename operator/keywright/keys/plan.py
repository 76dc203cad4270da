"""What to do next with one ApiKey: one action, or nothing until a time.

    (nothing) ──publish──► Pending ──reveal──► Pending, in the Secret ──activate──► Active
                              │ raw value lost in a crash                              │ a cause is due
                              └──publish another beside it◄────────────────────────────┘

`plan` is pure: the clock, what was seen and the source of new values are passed in. It returns one
action at a time; the reconciler carries it out, looks again and plans again. So a crash between any two
actions leaves a state from which the same function goes on, and nothing else has to be remembered.

A key that can be read is already accepted, because its digest is published before its value is revealed;
a digest whose value nobody can read is garbage, and goes once no write in flight can still reveal it.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

from keywright.api.apikey import Cause, Generation, GenerationState
from keywright.api.meta import round_down
from keywright.api.reasons import EventReason
from keywright.api.revocation import RevocationReason
from keywright.keys import deletion, rollout, tokens
from keywright.keys import generations as gens
from keywright.keys.actions import (
    Action,
    AddFinalizer,
    CreateRecord,
    DeleteSecret,
    Happening,
    ReadNamespace,
    ReadSecret,
    WriteSecret,
    WriteStatus,
)
from keywright.keys.causes import Due, due
from keywright.keys.deadlines import deadline, happenings_now, recheck
from keywright.keys.facts import Facts, derive
from keywright.keys.happenings import happenings
from keywright.keys.loss import lost
from keywright.keys.policies import may_mint
from keywright.keys.room import make_room, may_publish, patient, waits_for_room
from keywright.keys.secret import SecretView, adoptable, manifest
from keywright.keys.seen import Seen, Unread, Verified
from keywright.keys.status import compose
from keywright.keys.usage import carry

if TYPE_CHECKING:
    from datetime import datetime

    from keywright.api.apikey import ApiKeyStatus
    from keywright.api.project import KeyType, Project
    from keywright.keys.raw import RawKey


class Mint(Protocol):
    """Makes a new raw value: the only source of chance, passed in like the clock."""

    def __call__(self, prefix: str, key_type: KeyType) -> RawKey:
        """Return a value that nobody has seen."""
        ...


@dataclass(frozen=True, slots=True)
class Plan:
    """The next action, what to tell once it has succeeded, and else when to look again."""

    action: Action | None = None
    happenings: tuple[Happening, ...] = ()
    due: datetime | None = None
    verified: Verified | None = None
    """With nothing left to do: that the Secret, read in this pass, is as it should be."""


def plan(seen: Seen, now: datetime, mint: Mint) -> Plan:
    """Return the next step for an ApiKey. Raises nothing for what a manifest may say."""
    if seen.api_key.metadata.deletion_timestamp is not None:
        return Plan(*deletion.next_step(derive(seen, now)))
    facts = derive(seen, now)
    if not seen.clock_trusted:
        return _revoke_only(facts)
    step = _look(facts) or _keep_finalizer(facts) or _adopt(facts) or _activate(facts)
    step = step or _mint(facts, mint) or _mend(facts) or _restart(facts) or _report(facts)
    return step or Plan(happenings=happenings_now(facts), due=deadline(facts), verified=_check(facts))


def _revoke_only(facts: Facts) -> Plan:
    """Latch revocations and wait: with a wrong clock every time that is written, or gone by, is wrong."""
    if facts.generations == facts.status.keys:
        return Plan(due=deadline(facts), verified=_check(facts))
    status = facts.status.model_copy(update={"keys": facts.generations})
    return Plan(WriteStatus(status), happenings(facts.status, status, facts.generations))


def _check(facts: Facts) -> Verified | None:
    """Return that the Secret was read and found in place, if so."""
    secret = facts.owned_secret
    if secret is None or not _in_place(facts):
        return None
    return Verified(facts.now, secret.resource_version, _fingerprint(facts))


def _fingerprint(facts: Facts) -> str:
    """Return a digest of what a check of the Secret went by, to tell whether it still holds."""
    current = facts.current
    parts = [
        # Any edit of the spec is worth a look: a person who has lost the Secret may well begin there.
        facts.api_key.metadata.generation,
        facts.api_key.spec.secret.model_dump(mode="json"),
        facts.api_key.project,
        [current.id, current.digest, current.state] if current else None,
        str(facts.current_expiry),
        facts.revision,
    ]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _in_place(facts: Facts) -> bool:
    """Whether the Secret, read in this pass, carries the current value and nothing about it needs mending."""
    current = facts.current
    return facts.current_holds and facts.carried == current and not lost(facts)


def _look(facts: Facts) -> Plan | None:
    """Read the Secret first, unless it was found in place and nothing has changed since."""
    if not isinstance(facts.seen.secret, Unread):
        needs_namespace = lost(facts) and facts.seen.namespace_terminating is None
        return Plan(ReadNamespace()) if needs_namespace else None
    quiet = not facts.pending and due(facts) is None and not facts.refused_before
    return None if quiet and _verified(facts) else Plan(ReadSecret())


def _verified(facts: Facts) -> bool:
    """Whether the Secret is as it was when it was found in place: a watch says so, or it was lately."""
    verified, watched = facts.seen.verified, facts.seen.watched
    if verified is None or verified.fingerprint != _fingerprint(facts):
        return False
    if watched is not None:
        return watched.version == verified.version
    return facts.now < verified.at + recheck(facts)


def _keep_finalizer(facts: Facts) -> Plan | None:
    """Put the finalizer back on an ApiKey that has keys: a deletion must not outrun their revocation."""
    missing = deletion.FINALIZER not in facts.api_key.metadata.finalizers
    return Plan(AddFinalizer()) if missing and facts.generations else None


def _adopt(facts: Facts) -> Plan | None:
    """Take over the value of a sealed Secret after the status was lost: its users must not notice."""
    if facts.revision or facts.owned_secret is None or facts.carried is not None:
        return None
    found = adoptable(facts.owned_secret, facts.api_key, facts.sealing)
    if found is None or not _may_adopt(facts, found):
        return None
    if deletion.FINALIZER not in facts.api_key.metadata.finalizers:
        return Plan(AddFinalizer())
    adopted = facts.status.model_copy(
        update={
            "keys": (found, *(g for g in facts.generations if g.id != found.id)),
            "revision": found.revision,
            "handled_tokens": tokens.handle_present(facts.api_key),
        }
    )
    return _write(facts, adopted, activates=Cause.ADOPTED)


def _may_adopt(facts: Facts, found: Generation) -> bool:
    seen = facts.seen
    revoked = facts.revoked_whole or found.id in seen.revoked or found.id in seen.recorded
    return not revoked and found.digest not in seen.foreign_digests and facts.bounds.valid(found, facts.now)


def _activate(facts: Facts) -> Plan | None:
    """Make the Pending generation that the Secret carries the current one."""
    carried = facts.carried
    if carried is None or carried.state is not GenerationState.PENDING:
        return None
    if carried.regenerate and (record := _unrecorded(facts)):
        return Plan(record)
    revision = facts.revision + 1
    activated = gens.activate(
        facts.generations,
        carried,
        revision=revision,
        overlap=facts.overlap(facts.now),
        bounds=facts.bounds,
        now=facts.now,
    )
    gone = {g.id for g in facts.generations} - {g.id for g in activated}
    done = [g for g in facts.status.keys if g.id == carried.id or g.id in gone]
    status = facts.status.model_copy(
        update={
            "keys": activated,
            "revision": revision,
            "handled_tokens": tokens.handle(facts.api_key, done),
            "last_rotation_time": round_down(facts.now) if facts.revision else None,
            "restarting": rollout.begin(facts),
        }
    )
    return _write(facts, status, activates=carried.cause)


def _unrecorded(facts: Facts) -> CreateRecord | None:
    """Return the record of a generation that regenerating ends and that has none yet."""
    if not facts.seen.records_possible:
        return None
    for generation in facts.generations:
        ends = generation.state is not GenerationState.PENDING and facts.bounds.valid(generation, facts.now)
        if ends and generation.id not in facts.seen.recorded:
            return deletion.record(generation, RevocationReason.SUPERSEDED)
    return None


def _mint(facts: Facts, mint: Mint) -> Plan | None:
    """Publish a new generation, or reveal the one that this process has published."""
    wanted, project = due(facts), facts.seen.project
    if wanted is None or project is None or not may_mint(facts):
        return None
    if deletion.FINALIZER not in facts.api_key.metadata.finalizers:
        return Plan(AddFinalizer())
    if facts.refused_lately:
        return None
    for generation in facts.pending:
        if _revealable(facts, generation):
            return _reveal(facts, generation)
    if waits_for_room(facts, wanted) or not may_publish(facts, wanted):
        return None
    return _publish(facts, wanted, project, mint)


def _revealable(facts: Facts, generation: Generation) -> bool:
    """Whether this process may make the value of a Pending generation readable.

    Not of one that has been overtaken: what it was minted for, the one activated since has satisfied. And
    not of one so old that the request might land after somebody has dropped it.
    """
    known = generation.id in facts.seen.held and generation.id not in facts.seen.refused
    young = facts.now < generation.created_at + gens.REVEAL_LIFE
    return known and young and generation.revision > facts.revision


def _publish(facts: Facts, wanted: Due, project: Project, mint: Mint) -> Plan:
    raw = mint(project.spec.key_prefix, facts.api_key.spec.type)
    created_at = round_down(facts.now)
    generation = Generation(
        id=raw.id,
        revision=facts.revision + 1,
        digest=raw.digest,
        hint=raw.hint,
        state=GenerationState.PENDING,
        cause=wanted.cause,
        tokens=wanted.tokens or None,
        regenerate=wanted.regenerate or None,
        created_at=created_at,
        expires_at=gens.later(created_at, facts.lifetime) if facts.lifetime is not None else None,
    )
    room = facts.generations if patient(wanted) else make_room(facts)
    published = facts.status.model_copy(update={"keys": (generation, *room)})
    return _write(facts, published, publishes=raw)


def _reveal(facts: Facts, held: Generation) -> Plan:
    """Write the value that this process holds; a Secret that no PUT can bring in place goes first."""
    secret = facts.owned_secret
    if secret is not None and not secret.replaceable:
        return Plan(DeleteSecret(secret.uid, secret.resource_version))
    desired = manifest(
        facts.api_key,
        held,
        facts.seen.held[held.id],
        ends_at=facts.bounds.expiry(held),
        revision=facts.revision + 1,
        sealing=facts.sealing,
        live=secret,
    )
    return Plan(WriteSecret(desired, reveals=held.id))


def _mend(facts: Facts) -> Plan | None:
    """Bring entries and labels of the Secret in place around the value, which stays."""
    secret, current = facts.owned_secret, facts.current
    if secret is None or current is None or not _in_place(facts):
        return None
    raw = secret.raw_key(facts.api_key.spec.secret.key)
    if raw is None or facts.refused_lately:
        return None
    desired = manifest(
        facts.api_key,
        current,
        raw,
        ends_at=facts.current_expiry,
        revision=current.revision,
        sealing=facts.sealing,
        live=secret,
    )
    if SecretView.of(desired) == secret:
        return None
    edited = facts.status.observed_generation != facts.api_key.metadata.generation
    if edited or facts.end_moved:
        return Plan(WriteSecret(desired))  # the spec was edited, or the Project's maximum: not the Secret
    note = f"Restored the entries of the Secret {facts.api_key.secret_name} around the {gens.spoken(current)}"
    told = Happening(EventReason.SECRET_RESTORED, note, current.id, current.revision)
    return Plan(WriteSecret(desired), happenings=(told,))


def _restart(facts: Facts) -> Plan | None:
    """Restart what uses the key, once its new value stands in the Secret and status says so."""
    step = rollout.next_step(facts)
    return Plan(*step) if step is not None else None


def _report(facts: Facts) -> Plan | None:
    """Write the status if it does not say what is; Pending ones that nobody can reveal go with it."""
    forgotten = frozenset(g.id for g in facts.pending if _forgettable(facts, g))
    swept = replace(facts, generations=gens.forget_pending(facts.generations, forgotten))
    status, last_used = compose(swept), facts.seen.last_used
    carried = carry(status, facts.status, last_used)
    if status == facts.status and not (last_used.due and carried != status):
        return None
    told = (*happenings(facts.status, status, swept.generations), *rollout.ends(facts))
    return Plan(WriteStatus(carried), told)


def _forgettable(facts: Facts, generation: Generation) -> bool:
    """Whether no write can still make a Pending value readable.

    Either its only reveal was refused for good, or it is 120 s old and the Secret, read just now, does not
    carry it. A request that it alone remembers keeps it.
    """
    if isinstance(facts.seen.secret, Unread) or facts.carried == generation:
        return False
    remembered = {token for g in facts.pending if g.id != generation.id for token in g.tokens or ()}
    remembered.update(tokens.present(facts.api_key), facts.status.handled_tokens)
    if not remembered.issuperset(generation.tokens or ()):
        return False
    if generation.id in facts.seen.refused:
        return True
    wanted = due(facts)
    busy = _revealable(facts, generation) and wanted is not None and may_mint(facts)
    return not busy and generation.created_at + gens.PENDING_LIFE <= facts.now


def _write(
    facts: Facts, status: ApiKeyStatus, *, publishes: RawKey | None = None, activates: Cause | None = None
) -> Plan:
    """Write what the status says once these generations are in it, conditions and all."""
    api_key = facts.api_key.model_copy(update={"status": status})
    # What was read of workloads before a new key is current says nothing of their restart for it.
    after = derive(facts.seen._replace(api_key=api_key, workloads={}, terms=facts.terms), facts.now)
    composed = compose(after)
    told = happenings(facts.status, composed, after.generations)
    carried = carry(composed, facts.status, facts.seen.last_used)
    return Plan(WriteStatus(carried, publishes=publishes, activates=activates), told)
