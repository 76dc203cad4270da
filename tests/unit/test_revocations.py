"""The consumer: what one list has said, no later one takes back, whoever delivers it and whatever fails."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from typing import TYPE_CHECKING, Any

import pytest
from joserfc.jwk import OKPKey

from keywright import srl
from keywright.revocations import (
    Answer,
    Feed,
    FetchError,
    NoListError,
    Outcome,
    RefusedListError,
    Revocations,
    StateFileError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

ISSUER, PROJECT = "https://keywright.example.com", "platform/payments"
KEY, OTHER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
NOW = 1_000_000


def jwks(**keys: OKPKey) -> dict[str, Any]:
    return {"keys": [{**key.as_dict(private=False), "kid": f"srl-{kid}"} for kid, key in keys.items()]}


def a_list(
    *ids: str,
    seq: int = 1,
    epoch: int = 1,
    at: int = NOW,
    until: int | None = None,
    project: str = PROJECT,
    issuer: str = ISSUER,
    key: OKPKey = KEY,
    kid: str = "srl-1",
) -> str:
    revoked = tuple(srl.Revoked(key_id, at, "KeyCompromise", until) for key_id in ids)
    return srl.sign(
        json.dumps(srl.Claims(issuer, project, at, at + 300, epoch, seq, revoked).members()).encode(),
        key,
        kid,
    )


class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def revocations(clock: Clock) -> Revocations:
    return a_consumer(clock)


def a_consumer(clock: Clock, state_file: Path | None = None) -> Revocations:
    keys = jwks(**{"1": KEY})
    return Revocations(issuer=ISSUER, project=PROJECT, jwks=keys, state_file=state_file, clock=clock)


def refused(revocations: Revocations, token: str) -> str:
    with pytest.raises(RefusedListError) as error:
        revocations.accept(token)
    return error.value.code


def test_before_the_first_list_nobody_is_told_that_a_key_is_good(revocations: Revocations) -> None:
    with pytest.raises(NoListError, match="let nobody in before one was"):
        revocations.is_revoked("a")
    assert (revocations.stale, revocations.place) == (True, None)


def test_what_a_list_says_holds(revocations: Revocations) -> None:
    assert revocations.accept(a_list("a")) is Outcome.ACCEPTED
    assert (revocations.is_revoked("a"), revocations.is_revoked("b")) == (True, False)
    assert (revocations.stale, revocations.place) == (False, (1, 1))


def test_a_lower_list_changes_nothing(revocations: Revocations) -> None:
    revocations.accept(a_list("a", seq=7))
    assert revocations.accept(a_list("b", seq=6, at=NOW + 1)) is Outcome.OLDER
    assert (revocations.is_revoked("a"), revocations.is_revoked("b")) == (True, False)
    assert revocations.place == (1, 7)


def test_after_a_restore_the_epoch_orders_and_what_was_known_stays(revocations: Revocations) -> None:
    revocations.accept(a_list("lost-by-the-restore", seq=700))
    assert revocations.accept(a_list("a", epoch=2, seq=3)) is Outcome.ACCEPTED
    assert revocations.is_revoked("lost-by-the-restore")
    assert revocations.accept(a_list(seq=900)) is Outcome.OLDER
    assert revocations.place == (2, 3)


def test_two_lists_of_one_place_are_taken_together(revocations: Revocations, clock: Clock) -> None:
    revocations.accept(a_list("a", at=NOW + 10))
    assert revocations.accept(a_list("b", at=NOW)) is Outcome.ACCEPTED
    assert (revocations.is_revoked("a"), revocations.is_revoked("b")) == (True, True)
    clock.now = NOW + 300 + 60
    assert not revocations.stale


def test_an_id_is_dropped_only_by_a_list_issued_after_its_end(revocations: Revocations) -> None:
    revocations.accept(a_list("a", seq=1, until=NOW + 100))
    revocations.accept(a_list(seq=2, at=NOW + 99))
    assert revocations.is_revoked("a")
    revocations.accept(a_list(seq=3, at=NOW + 100))
    assert not revocations.is_revoked("a")


def test_an_id_without_an_end_is_never_dropped(revocations: Revocations, clock: Clock) -> None:
    revocations.accept(a_list("a", seq=1))
    clock.now += 10**9
    revocations.accept(a_list("a", seq=2, at=NOW + 10**9, until=NOW + 1))
    revocations.accept(a_list(seq=3, at=NOW + 10**9))
    assert revocations.is_revoked("a")


def test_a_clock_that_is_far_ahead_makes_no_revoked_key_good(revocations: Revocations, clock: Clock) -> None:
    revocations.accept(a_list("a", until=NOW + 100))
    clock.now += 10**9
    assert refused(revocations, a_list(seq=2)) == "expired"
    assert revocations.is_revoked("a")


def test_lists_for_others_or_out_of_date_are_refused(revocations: Revocations) -> None:
    assert refused(revocations, a_list("a", issuer="https://evil.example.com")) == "wrong_issuer"
    assert refused(revocations, a_list("a", project="platform/other")) == "wrong_project"
    assert refused(revocations, a_list("a", at=NOW - 360)) == "expired"
    assert refused(revocations, a_list("a", key=OTHER)) == "bad_signature"
    assert revocations.place is None


def test_without_news_a_list_is_stale_but_goes_on_saying_what_it_said(
    revocations: Revocations, clock: Clock
) -> None:
    revocations.accept(a_list("a"))
    clock.now = NOW + 300 + 59
    assert not revocations.stale
    clock.now += 1
    assert revocations.stale
    assert revocations.is_revoked("a")


def test_it_may_be_asked_while_lists_come_in(revocations: Revocations) -> None:
    revocations.accept(a_list("a"))
    answers: list[bool] = []
    stop = threading.Event()

    def ask() -> None:
        while not stop.is_set():
            answers.append(revocations.is_revoked("a"))

    lists = [a_list("a", f"b{seq}", seq=seq) for seq in range(200)]
    threads = [
        threading.Thread(target=ask),
        *(threading.Thread(target=_give, args=(revocations, lists[n::4])) for n in range(4)),
    ]
    for thread in threads:
        thread.start()
    for thread in threads[1:]:
        thread.join()
    stop.set()
    threads[0].join()
    assert set(answers) == {True}
    assert revocations.place == (1, 199)


def _give(revocations: Revocations, lists: Iterable[str]) -> None:
    for token in lists:
        revocations.accept(token)


def test_after_a_restart_no_older_list_is_taken(tmp_path: Path, clock: Clock) -> None:
    file = tmp_path / "revocations.json"
    a_consumer(clock, file).accept(a_list("a", seq=7))
    again = a_consumer(clock, file)
    assert (again.is_revoked("a"), again.stale, again.place) == (True, False, (1, 7))
    assert again.accept(a_list(seq=6)) is Outcome.OLDER
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["revocations.json"]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "{}",
        '{"of": {}}',
        '{"of": {"issuer": "i"}, "epoch": 1, "seq": 1, "issued_at": 1, "expires_at": 1, "until": {}}',
    ],
)
def test_a_state_that_is_not_ours_is_named_with_what_to_do(
    tmp_path: Path, clock: Clock, content: str
) -> None:
    file = tmp_path / "revocations.json"
    file.write_text(content)
    with pytest.raises(StateFileError, match=r"revocations\.json: is not the state of platform/payments"):
        a_consumer(clock, file)


@pytest.mark.parametrize("part", ["epoch", "seq", "issued_at", "expires_at", "until"])
def test_a_state_that_was_damaged_is_refused(tmp_path: Path, clock: Clock, part: str) -> None:
    file = tmp_path / "revocations.json"
    a_consumer(clock, file).accept(a_list("a"))
    for wrong in ("x", ["a"], {"a": "x"}):
        state = json.loads(file.read_text())
        state[part] = wrong
        file.with_name("damaged").write_text(json.dumps(state))
        with pytest.raises(StateFileError):
            a_consumer(clock, file.with_name("damaged"))


def test_a_list_that_cannot_be_kept_is_in_force_and_said_so(tmp_path: Path, clock: Clock) -> None:
    revocations = a_consumer(clock, tmp_path / "gone" / "revocations.json")
    with pytest.raises(StateFileError, match="the list holds until a restart"):
        revocations.accept(a_list("a"))
    assert revocations.is_revoked("a")


class Server:
    """Answers what it is told to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.list = Answer(200, a_list("a").encode(), '"1"')
        self.jwks = Answer(200, json.dumps(jwks(**{"1": KEY})).encode())
        self.asked: deque[tuple[str, dict[str, str]]] = deque()

    def __call__(self, url: str, headers: Mapping[str, str]) -> Answer:
        path = url.removeprefix("https://kw")
        self.asked.append((path, dict(headers)))
        answer = self.jwks if path == "/.well-known/jwks.json" else self.list
        if answer.etag is not None and headers.get("If-None-Match") == answer.etag:
            return Answer(304)
        return answer

    def paths(self) -> list[str]:
        paths = [path.rpartition("/")[2] for path, _ in self.asked]
        self.asked.clear()
        return paths


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def fed(clock: Clock) -> Revocations:
    return Revocations(issuer=ISSUER, project=PROJECT, clock=clock)


def test_the_first_poll_fetches_the_keys_too(fed: Revocations, server: Server, clock: Clock) -> None:
    assert Feed(fed, "https://kw/", server, clock=clock).poll() is Outcome.ACCEPTED
    assert fed.is_revoked("a")
    assert server.paths() == ["srl", "jwks.json"]


def test_a_list_that_has_not_changed_is_not_sent_again(
    fed: Revocations, server: Server, clock: Clock
) -> None:
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    server.asked.clear()
    assert feed.poll() is Outcome.UNCHANGED
    assert list(server.asked) == [("/v1/revocations/srl", {"If-None-Match": '"1"'})]


def test_an_older_list_of_another_replica_does_not_become_the_one_that_is_held(
    fed: Revocations, server: Server, clock: Clock
) -> None:
    server.list = Answer(200, a_list("a", seq=7).encode(), '"7"')
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    server.list = Answer(200, a_list(seq=6).encode(), '"6"')
    assert (feed.poll(), feed.poll()) == (Outcome.OLDER, Outcome.OLDER)
    assert fed.is_revoked("a")


def test_a_new_key_is_fetched_when_a_list_names_it_but_not_at_every_poll(
    fed: Revocations, server: Server, clock: Clock
) -> None:
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    server.paths()
    server.list = Answer(200, a_list("b", seq=2, key=OTHER, kid="srl-2").encode(), '"2"')
    with pytest.raises(RefusedListError, match="a key that is not in the JWKS"):
        feed.poll()
    assert server.paths() == ["srl"]
    clock.now += 60
    server.jwks = Answer(200, json.dumps(jwks(**{"1": KEY, "2": OTHER})).encode())
    assert feed.poll() is Outcome.ACCEPTED
    assert server.paths() == ["srl", "jwks.json"]


def test_a_key_that_was_taken_out_of_the_jwks_is_believed_for_five_minutes_at_most(
    fed: Revocations, server: Server, clock: Clock
) -> None:
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    server.jwks = Answer(200, json.dumps(jwks(**{"2": OTHER})).encode())
    clock.now += 300
    feed.poll()
    assert refused(fed, a_list("b", seq=2)) == "unknown_key"


@pytest.mark.parametrize(
    "answer", [Answer(500), Answer(403, b"{}"), Answer(304), Answer(200, b"<html>"), Answer(200)]
)
def test_what_fails_leaves_the_last_list_until_it_is_stale(
    fed: Revocations, server: Server, clock: Clock, answer: Answer
) -> None:
    server.list = server.list._replace(etag=None)
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    server.list = answer
    with pytest.raises((FetchError, RefusedListError)):
        feed.poll()
    assert (fed.is_revoked("a"), fed.stale) == (True, False)
    clock.now += 360
    assert (fed.is_revoked("a"), fed.stale) == (True, True)


def test_what_fetch_raises_reaches_the_caller_and_changes_nothing(fed: Revocations, server: Server) -> None:
    Feed(fed, "https://kw", server).poll()

    def fetch(url: str, headers: Mapping[str, str]) -> Answer:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        Feed(fed, "https://kw", fetch).poll()
    assert fed.is_revoked("a")


@pytest.mark.parametrize("answer", [Answer(500), Answer(200, b"<html>"), Answer(200, b"[]")])
def test_keys_that_cannot_be_fetched_again_keep_no_list_out(
    fed: Revocations, server: Server, clock: Clock, answer: Answer
) -> None:
    feed = Feed(fed, "https://kw", server, clock=clock)
    feed.poll()
    clock.now += 300
    server.jwks = answer
    server.list = Answer(200, a_list("b", seq=2, at=NOW + 300).encode(), '"2"')
    with pytest.raises((FetchError, RefusedListError)):
        feed.poll()
    assert fed.is_revoked("b")


def test_keys_that_were_given_are_never_fetched(
    revocations: Revocations, server: Server, clock: Clock
) -> None:
    feed = Feed(revocations, "https://kw", server, clock=clock)
    feed.poll()
    server.list = Answer(200, a_list(seq=2, key=OTHER, kid="srl-2").encode())
    clock.now += 300
    with pytest.raises(RefusedListError):
        feed.poll()
    assert server.paths() == ["srl", "srl"]


def test_it_loads_nothing_but_joserfc_and_the_standard_library() -> None:
    code = (
        "import sys; before = set(sys.modules); import keywright.revocations; "
        "print(*sorted({name.partition('.')[0] for name in set(sys.modules) - before}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {name for name in done.stdout.split() if name not in sys.stdlib_module_names}
    of_joserfc = {"joserfc", "cryptography", "_cffi_backend", "_openssl"}
    assert loaded - of_joserfc == {"keywright"}
