"""Keep the signed revocation list of a Project, and ask it whether a key is revoked.

For programs that know a key's id but ask no verifier each time: that keep its decisions, or take tokens
made from keys. `Revocations` holds what the lists have said; `Feed` fetches them, by a function of yours,
so that no HTTP library is forced on anybody. Nothing but joserfc is needed: `keywright[revocations]`.

    revocations = Revocations(issuer="https://keywright.example.com", project="platform/payments")
    feed = Feed(revocations, "https://keywright.example.com", fetch)
    feed.poll()                                  # again every half minute, in a thread of yours
    revocations.is_revoked("7f3k2m9q0r4t6v8x")   # from any thread, without I/O

No list takes back what one before it has said: lists are ordered by (epoch, seq), a lower one changes
nothing, and an id is dropped only by a list that was issued after the key's own end.
"""

from __future__ import annotations

import json
import os
import threading
import time
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from keywright import srl
from keywright.errors import KeywrightError
from keywright.srl import RefusedListError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joserfc.jwk import OKPKey

__all__ = [
    "Answer",
    "Feed",
    "FetchError",
    "NoListError",
    "Outcome",
    "RefusedListError",
    "Revocations",
    "StateFileError",
]

LIST_PATH = "/v1/revocations/srl"
JWKS_PATH = "/.well-known/jwks.json"

_JWKS_AGE = 300.0  # seconds that a JWKS is believed without another look
_JWKS_PAUSE = 60.0  # seconds between two looks for a key that is not in it
_OK, _NOT_MODIFIED = 200, 304


class Outcome(StrEnum):
    """What a list that was believed has changed."""

    ACCEPTED = "accepted"
    UNCHANGED = "unchanged"
    """The server has nothing newer (304)."""
    OLDER = "older"
    """What is held stands behind it, so nothing was taken. Replicas of a verifier may differ by a minute; if
    it stays so, the verifier was restored without raising its epoch, or somebody replays old lists."""


class NoListError(KeywrightError):
    """No list was accepted yet, so nobody knows what is revoked."""

    code = "no_list"


class FetchError(KeywrightError):
    """The verifier answered with something else than what was asked for."""

    code = "fetch"


class StateFileError(KeywrightError):
    """The state file cannot be used, or not be written; what is held in memory is in force."""

    code = "state_file"


class Answer(NamedTuple):
    """An HTTP answer, as far as it matters here."""

    status: int
    body: bytes = b""
    etag: str | None = None


@dataclass(frozen=True)
class _Held:
    """What all accepted lists together have said; replaced as a whole, never changed."""

    epoch: int
    seq: int
    issued_at: int
    expires_at: int
    until: Mapping[str, int | None] = field(repr=False)

    @property
    def place(self) -> tuple[int, int]:
        return self.epoch, self.seq


class Revocations:
    """What is revoked in one Project, by every list that was accepted; for use from any thread."""

    def __init__(
        self,
        *,
        issuer: str,
        project: str,
        jwks: Mapping[str, Any] | None = None,
        state_file: str | os.PathLike[str] | None = None,
        leeway: float = 60.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Begin with what the state file holds, if there is one already.

        `project` is namespace/name. `jwks` are the keys to believe; without, a Feed fetches them, or `trust`
        says them. `state_file` belongs to this object alone, not to several processes. `leeway` is how many
        seconds this clock may be ahead of the verifier's. Raises StateFileError, RefusedListError.
        """
        self._issuer = issuer
        self._project = project
        self._leeway = leeway
        self._clock = clock
        self._lock = threading.Lock()
        self.pinned = jwks is not None
        """Whether the keys to believe were given once and for all."""
        self._keys: Mapping[str, OKPKey] = {} if jwks is None else srl.public_keys(jwks)
        self._file = None if state_file is None else _StateFile(Path(state_file), issuer, project)
        self._held = None if self._file is None else self._file.read()

    def is_revoked(self, key_id: str) -> bool:
        """Whether a list has said so. Raises NoListError before the first one: that is no "no"."""
        if self._held is None:
            raise NoListError("no revocation list was accepted yet: let nobody in before one was")
        return key_id in self._held.until

    @property
    def stale(self) -> bool:
        """Whether newer revocations may be missing: no list yet, or the last one has expired.

        `is_revoked` goes on answering from it; whether that is enough is yours to decide.
        """
        held = self._held
        return held is None or self._clock() >= held.expires_at + self._leeway

    @property
    def place(self) -> tuple[int, int] | None:
        """The (epoch, seq) of the highest list accepted."""
        return None if self._held is None else self._held.place

    def trust(self, jwks: Mapping[str, Any]) -> None:
        """Believe the keys of this JWKS from now on, and no other. Raises RefusedListError if it has none."""
        self._keys = srl.public_keys(jwks)

    def accept(self, token: str | bytes) -> Outcome:
        """Take in a list.

        Raises RefusedListError for one that is not believed, and StateFileError where one was taken in but
        could not be kept for the next start.
        """
        claims = srl.verify(token, self._keys)
        if claims.issuer != self._issuer:
            raise RefusedListError("wrong_issuer", f"the list is not of the issuer {self._issuer}")
        if claims.project != self._project:
            raise RefusedListError("wrong_project", f"the list is not of the Project {self._project}")
        if self._clock() >= claims.expires_at + self._leeway:
            raise RefusedListError("expired", "the list has expired: fetch a newer one, or set the clock")
        with self._lock:
            if self._held is not None and (claims.epoch, claims.seq) < self._held.place:
                return Outcome.OLDER
            self._held = _with(self._held, claims)
            if self._file is not None:
                self._file.write(self._held)
        return Outcome.ACCEPTED


class Feed:
    """Fetches the list, and the keys that it is signed with, from a verifier."""

    def __init__(
        self,
        revocations: Revocations,
        url: str,
        fetch: Callable[[str, Mapping[str, str]], Answer],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Fetch from the verifier at `url`, by `fetch(url, headers)`.

        That function adds the Authorization header (a key with the scope keywright:authorizer), ends after
        a while, and raises what it likes: it reaches the caller of `poll`, and changes nothing.
        """
        self._revocations = revocations
        self._url = url.rstrip("/")
        self._fetch = fetch
        self._clock = clock
        self._lock = threading.Lock()
        self._etag: str | None = None
        self._jwks_at: float | None = None

    def poll(self) -> Outcome:
        """Fetch the list if there is another one, and take it in.

        Raises FetchError, whatever `fetch` raises, and as `Revocations.accept`; the last list stays.
        """
        with self._lock:
            outcome = self._poll_list()
            # Afterwards: keys that cannot be fetched now must not keep a list from being taken in.
            if not self._revocations.pinned and self._jwks_age() >= _JWKS_AGE:
                self._fetch_keys()
            return outcome

    def _poll_list(self) -> Outcome:
        headers = {} if self._etag is None else {"If-None-Match": self._etag}
        answer = self._get(LIST_PATH, headers)
        if answer.status == _NOT_MODIFIED:
            return Outcome.UNCHANGED
        outcome = self._accept(answer.body)
        if outcome is Outcome.ACCEPTED:
            self._etag = answer.etag
        return outcome

    def _accept(self, token: bytes) -> Outcome:
        try:
            return self._revocations.accept(token)
        except RefusedListError as error:
            known = self._revocations.pinned or self._jwks_age() < _JWKS_PAUSE
            if error.code != "unknown_key" or known:
                raise
        self._fetch_keys()
        return self._revocations.accept(token)

    def _fetch_keys(self) -> None:
        answer = self._get(JWKS_PATH, {})
        try:
            self._revocations.trust(json.loads(answer.body))
        except ValueError:
            raise FetchError("the verifier's JWKS is not JSON", path=JWKS_PATH) from None
        self._jwks_at = self._clock()

    def _get(self, path: str, headers: Mapping[str, str]) -> Answer:
        answer = self._fetch(self._url + path, headers)
        if answer.status != _OK and not (answer.status == _NOT_MODIFIED and headers):
            raise FetchError("the verifier did not answer with 200", path=path, status=answer.status)
        return answer

    def _jwks_age(self) -> float:
        return float("inf") if self._jwks_at is None else self._clock() - self._jwks_at


class _StateFile:
    """What is held, across restarts: with it a process that starts anew takes no list back either."""

    def __init__(self, path: Path, issuer: str, project: str) -> None:
        self._path = path
        self._of = {"issuer": issuer, "project": project}

    def read(self) -> _Held | None:
        try:
            state = json.loads(self._path.read_bytes())
            of, until = state.pop("of"), state["until"]
            held = _Held(**state)
            numbers = (*held.place, held.issued_at, held.expires_at, *until.values())
            sound = all(type(number) is int or number is None for number in numbers)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateFileError(f"{self._path}: {error.strerror}") from None
        except (ValueError, TypeError, KeyError, AttributeError):
            sound, of = False, None
        if not sound or of != self._of:
            raise StateFileError(
                f"{self._path}: is not the state of {self._of['project']} by {self._of['issuer']}; "
                "give another path, or delete it to begin anew with whatever list comes first"
            )
        return held

    def write(self, held: _Held) -> None:
        state = {**vars(held), "of": self._of}
        beside = self._path.with_name(f"{self._path.name}.new")
        try:
            with os.fdopen(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
                json.dump(state, file)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(self._path)
        except OSError as error:
            raise StateFileError(f"{self._path}: {error.strerror}; the list holds until a restart") from None


def _with(held: _Held | None, claims: srl.Claims) -> _Held:
    """Return what is held once a list that is not lower was taken in."""
    before = {} if held is None else held.until
    # By the issuer's time, not by this clock: one that is wrong must not make a revoked key good.
    until = {key_id: end for key_id, end in before.items() if end is None or end > claims.issued_at}
    for entry in claims.revoked:
        known = before.get(entry.key_id, 0)
        until[entry.key_id] = None if known is None or entry.until is None else max(known, entry.until)
    new = _Held(claims.epoch, claims.seq, claims.issued_at, claims.expires_at, until)
    if held is None or held.place < new.place:
        return new
    # Two lists of one place: each may know more than the other.
    return replace(
        new,
        issued_at=max(held.issued_at, new.issued_at),
        expires_at=max(held.expires_at, new.expires_at),
    )
