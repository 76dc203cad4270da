"""Use told by many verifiers with clocks of their own: what statuses tell moves forth only, and rarely."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from keywright.api.apikey import ApiKey, ApiKeyStatus
from keywright.keys.usage import Budget, Ledger, carry

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
UIDS = ("u1", "u2", "u3")
EVERY = {"Active": timedelta(hours=1), "Retiring": timedelta(minutes=1)}
RATE = 0.01  # writes a second: scarce enough to be felt
BURST = 2

SIGHTINGS = st.tuples(st.sampled_from(UIDS), st.sampled_from("ab"), st.integers(-7200, 7200))
ROUNDS = st.lists(
    st.tuples(st.floats(0.1, 900), st.lists(SIGHTINGS, max_size=6), st.booleans()), min_size=1, max_size=30
)


def api_key(uid: str) -> ApiKey:
    about = {"revision": 1, "digest": "d", "hint": "h", "cause": "First", "createdAt": "2026-11-23T00:00:00Z"}
    overlap = {"retiringSince": "2026-11-23T11:00:00Z", "retiresAt": "2026-11-24T11:00:00Z"}
    keys = [
        {"id": "a", "state": "Active", **about},
        {"id": "b", "state": "Retiring", **about, **overlap},
        {"id": "c", "state": "Retired", **about},
    ]
    metadata = {"name": uid, "namespace": "shop", "uid": uid}
    return ApiKey.model_validate(
        {"metadata": metadata, "spec": {"projectRef": {"name": "p"}}, "status": {"keys": keys}}
    )


def times(status: ApiKeyStatus) -> dict[str, datetime]:
    return {key.id: key.last_used_at for key in status.keys if key.last_used_at is not None}


@given(rounds=ROUNDS)
def test_times_only_move_forth_within_the_budget_and_in_the_end_tell_all(
    rounds: list[tuple[float, list[tuple[str, str, int]], bool]],
) -> None:
    ledger, now = Ledger(Budget(RATE, BURST)), NOON
    keys = {uid: api_key(uid) for uid in UIDS}
    said: dict[tuple[str, str], datetime] = {}
    written = 0
    for uid in UIDS:
        ledger.learn(uid, uid, keys[uid].status.keys)
    calm: list[tuple[float, list[tuple[str, str, int]], bool]] = [(3600.0, [], True)] * 6
    for wait, sightings, works in rounds + calm:
        now += timedelta(seconds=wait)
        for uid, key_id, ago in sightings:
            used = now - timedelta(seconds=ago)
            ledger.note(uid, key_id, used, now)
            capped = min(used, now).replace(microsecond=0)
            said[uid, key_id] = max(said.get((uid, key_id), capped), capped)
        names = list(ledger.admit(now))
        assert len(names) == len(set(names))
        for uid in UIDS if works else ():
            before = keys[uid].status
            last_used = ledger.of(keys[uid])
            if not last_used.due:
                continue
            after = carry(before, before, last_used)
            moved = {key_id for key_id, told in times(after).items() if told != times(before).get(key_id)}
            assert moved
            assert all(told >= times(before).get(key_id, told) for key_id, told in times(after).items())
            assert all(told <= now for told in times(after).values())
            assert max(times(after).values()) == after.last_used_at
            since = {key.id: key.last_used_at for key in before.keys}
            states = {key.id: key.state for key in before.keys}
            assert any(since[i] is None or now - (since[i] or now) >= EVERY[states[i]] for i in moved)
            keys[uid] = keys[uid].model_copy(update={"status": after})
            ledger.of(keys[uid])
            written += 1
    assert written <= BURST + RATE * (now - NOON).total_seconds()
    assert said == {(uid, i): told for uid in UIDS for i, told in times(keys[uid].status).items()}
