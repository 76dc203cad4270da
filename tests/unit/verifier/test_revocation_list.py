"""The list of a Project: what stands in it, and when it is another one."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from keywright import srl
from keywright.verifier.key_rotation import create, promote
from keywright.verifier.revocation_list import NotSyncedError, RevocationLists, SignedList, entry
from keywright.verifier.signing_keys import SETTLED, SigningKeys

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
STALE = timedelta(minutes=5)
ISSUER = "https://keywright.example.com"
PROJECT = "platform/payments"


def key(key_id: str, *, at: int = 0, reason: str = "KeyCompromise", until: int | None = None) -> srl.Revoked:
    end = None if until is None else NOW + timedelta(seconds=until)
    return entry(key_id, at=NOW + timedelta(seconds=at), reason=reason, until=end)


@dataclass
class Source:
    seq: int = 100
    synced_at: datetime | None = NOW
    changes: int = 0
    keys: dict[str, list[srl.Revoked]] = field(default_factory=dict)
    asked: int = 0

    def entries(self, project: str) -> Iterable[srl.Revoked]:
        self.asked += 1
        return self.keys.get(project, [])


class World:
    def __init__(self, directory: Path) -> None:
        create(directory)
        self.directory = directory
        self.now, self.monotonic = NOW, 0.0
        self.source = Source()
        self.keys = SigningKeys(directory, clock=lambda: self.monotonic)
        self.lists = self.replica()

    def replica(self) -> RevocationLists:
        return RevocationLists(
            self.source, self.keys, issuer=ISSUER, max_staleness=STALE, clock=lambda: self.now
        )

    def have(self, *keys: srl.Revoked) -> None:
        self.source.keys[PROJECT] = list(keys)
        self.source.changes += 1

    def passes(self, seconds: float, *, in_step: bool = True) -> None:
        self.now += timedelta(seconds=seconds)
        self.monotonic += seconds
        if in_step:
            self.source.synced_at = self.now

    def claims(self, signed: SignedList | None = None) -> srl.Claims:
        public = {key.kid: key.key for key in self.keys._files.published()}
        return srl.verify((signed or self.lists.of(PROJECT)).token, public)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path / "keys")


def test_a_list_says_for_whom_from_when_and_how_far_it_vouches(world: World) -> None:
    world.have(key("b", until=60), key("a", reason="Deleted"))
    at = int(NOW.timestamp())
    expected = srl.Claims(
        issuer=ISSUER,
        project=PROJECT,
        issued_at=at,
        expires_at=at + 300,
        epoch=1,
        seq=100,
        revoked=(srl.Revoked("a", at, "Deleted", None), srl.Revoked("b", at, "KeyCompromise", at + 60)),
    )
    assert expected == world.claims()


def test_the_time_is_that_of_the_last_proof_not_of_the_signature(world: World) -> None:
    world.passes(200, in_step=False)
    assert world.claims().issued_at == int(NOW.timestamp())


def test_each_project_has_its_own_list(world: World) -> None:
    world.have(key("a"))
    other = world.claims(world.lists.of("platform/other"))
    assert (other.project, other.revoked) == ("platform/other", ())
    assert [entry.key_id for entry in world.claims().revoked] == ["a"]


def test_a_key_that_is_revoked_twice_stands_there_once_from_the_first_time_to_the_last_end(
    world: World,
) -> None:
    world.have(
        key("a", at=5, reason="Deleted", until=60),
        key("a", at=1, reason="KeyCompromise", until=30),
        key("b", at=2, until=10),
        key("b", at=3, until=None),
    )
    at = int(NOW.timestamp())
    assert world.claims().revoked == (
        srl.Revoked("a", at + 1, "KeyCompromise", at + 60),
        srl.Revoked("b", at + 2, "KeyCompromise", None),
    )


def test_a_key_is_left_out_five_minutes_after_its_end(world: World) -> None:
    world.have(key("a", until=-299), key("b", until=-300))
    assert [entry.key_id for entry in world.claims().revoked] == ["a"]


def test_parts_of_a_second_make_neither_an_end_earlier_nor_a_proof_later(world: World) -> None:
    moment, at = NOW + timedelta(milliseconds=400), int(NOW.timestamp())
    assert entry("a", at=moment, reason="Deleted", until=moment) == srl.Revoked("a", at, "Deleted", at + 1)
    world.source.synced_at = moment
    assert world.claims().issued_at == at


def test_as_long_as_nothing_changes_the_list_is_the_same_bytes_and_nothing_is_asked(world: World) -> None:
    first = world.lists.of(PROJECT)
    world.passes(59)
    world.source.seq += 1
    assert first is world.lists.of(PROJECT)
    assert world.source.asked == 1


def test_a_change_is_in_the_next_list_at_once_and_changes_the_etag(world: World) -> None:
    first = world.lists.of(PROJECT)
    world.source.seq = 107
    world.have(key("a"))
    second = world.lists.of(PROJECT)
    assert first.etag != second.etag
    assert world.claims(second).seq == 107
    assert [entry.key_id for entry in world.claims(second).revoked] == ["a"]


def test_a_list_is_signed_anew_before_those_who_hold_it_call_it_stale(world: World) -> None:
    first = world.lists.of(PROJECT)
    world.passes(60)
    second = world.lists.of(PROJECT)
    assert first.etag != second.etag
    assert world.claims(second).expires_at == int(world.now.timestamp()) + 300


def test_beyond_the_greatest_staleness_nothing_is_handed_out(world: World) -> None:
    world.lists.of(PROJECT)
    world.passes(300, in_step=False)
    world.lists.of(PROJECT)
    world.passes(1, in_step=False)
    with pytest.raises(NotSyncedError):
        world.lists.of(PROJECT)


def test_before_the_first_proof_nothing_is_handed_out(world: World) -> None:
    world.source.synced_at = None
    with pytest.raises(NotSyncedError):
        world.lists.of(PROJECT)


def test_replicas_that_know_the_same_sign_the_same_bytes(world: World) -> None:
    world.have(key("b"), key("a"))
    one = world.lists.of(PROJECT)
    world.have(key("a"), key("b"))
    assert one == world.replica().of(PROJECT)


def test_another_epoch_or_another_key_is_signed_at_once(world: World) -> None:
    etags = [world.lists.of(PROJECT).etag]
    (world.directory / "epoch").write_text("2")
    world.keys.reread()
    assert world.claims().epoch == 2
    etags.append(world.lists.of(PROJECT).etag)
    world.monotonic += SETTLED
    promote(world.directory)
    world.keys.reread()
    etags.append(world.lists.of(PROJECT).etag)
    assert len(set(etags)) == 3


def test_of_a_project_that_is_gone_nothing_is_kept(world: World) -> None:
    world.lists.of(PROJECT)
    world.lists.forget(PROJECT)
    world.lists.of(PROJECT)
    assert world.source.asked == 2


def test_what_changes_while_a_list_is_made_makes_it_older_than_its_entries_never_newer(world: World) -> None:
    class Moving(Source):
        def entries(self, project: str) -> Iterable[srl.Revoked]:
            self.seq, self.changes, self.synced_at = 200, 9, NOW + timedelta(seconds=9)
            return super().entries(project)

    world.source = Moving(changes=1)
    world.lists = world.replica()
    claims = world.claims()
    assert (claims.seq, claims.issued_at) == (100, int(NOW.timestamp()))
    assert world.claims().seq == 200
