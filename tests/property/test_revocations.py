"""What holds for lists in any order, for any text in place of one, and for keys promoted at any time."""

from __future__ import annotations

import base64
import json
import shutil
import tempfile
from pathlib import Path
from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc.jwk import OKPKey

from keywright import srl
from keywright.revocations import Outcome, RefusedListError, Revocations
from keywright.verifier.key_files import Purpose
from keywright.verifier.key_rotation import create, promote
from keywright.verifier.signing_keys import JWKS_MAX_AGE, SETTLED, SigningKeys

KEY, STRANGER = OKPKey.generate_key("Ed25519"), OKPKey.generate_key("Ed25519")
JWKS = {"keys": [{**KEY.as_dict(private=False), "kid": "srl-1"}]}
KEYS = srl.public_keys(JWKS)
LIFE = 20

ENTRIES = st.dictionaries(st.sampled_from("abcd"), st.none() | st.integers(0, 60), max_size=4)
LISTS = st.builds(
    srl.Claims,
    issuer=st.just("iss"),
    project=st.just("a/b"),
    issued_at=st.integers(0, 40),
    expires_at=st.just(0),
    epoch=st.integers(1, 3),
    seq=st.integers(0, 5),
    revoked=ENTRIES.map(
        lambda found: tuple(srl.Revoked(key_id, 0, "Deleted", until) for key_id, until in found.items())
    ),
).map(lambda claims: claims._replace(expires_at=claims.issued_at + LIFE))


class Delivery(NamedTuple):
    """A list, on the consumer's clock; before it the consumer may have been restarted."""

    claims: srl.Claims
    now: int
    restarted: bool


DELIVERIES = st.lists(st.builds(Delivery, LISTS, st.integers(0, 80), st.booleans()), max_size=12)


@given(DELIVERIES)
def test_no_order_of_lists_makes_a_revoked_key_good_before_its_end(deliveries: list[Delivery]) -> None:
    now = 0

    def consumer() -> Revocations:
        return Revocations(
            issuer="iss", project="a/b", jwks=JWKS, state_file=state, leeway=0, clock=lambda: now
        )

    with tempfile.TemporaryDirectory() as directory:
        state = Path(directory, "state")
        revocations = consumer()
        ends: dict[str, float] = {}
        newest, place = 0, (0, 0)
        for claims, at, restarted in deliveries:
            now = at
            if restarted:
                revocations = consumer()
            try:
                outcome = revocations.accept(srl.sign(json.dumps(claims.members()).encode(), KEY, "srl-1"))
            except RefusedListError as error:
                if (error.code, now >= claims.expires_at) != ("expired", True):
                    raise
            else:
                lower = (claims.epoch, claims.seq) < place
                assert outcome == (Outcome.OLDER if lower else Outcome.ACCEPTED)
                if not lower:
                    newest, place = max(newest, claims.issued_at), (claims.epoch, claims.seq)
                    for entry in claims.revoked:
                        end = float("inf") if entry.until is None else entry.until
                        ends[entry.key_id] = max(end, ends.get(entry.key_id, 0))
            assert revocations.place in {place, None}
            good = {key_id for key_id in ends if not revocations.is_revoked(key_id)}
            assert not {key_id for key_id in good if ends[key_id] > newest}


@given(LISTS, st.data())
def test_a_list_that_was_touched_says_the_same_or_is_refused(claims: srl.Claims, data: st.DataObject) -> None:
    token = srl.sign(json.dumps(claims.members()).encode(), KEY, "srl-1")
    at = data.draw(st.integers(0, len(token) - 1))
    other = data.draw(st.characters(codec="utf-8") | st.sampled_from(["", ".", "A", "=", "\n"]))
    touched = token[:at] + other + token[at + 1 :]
    try:
        said = srl.verify(touched, KEYS)
    except srl.RefusedListError:
        return
    assert claims == said  # spare bits of base64, or white space around it


@given(LISTS)
def test_a_list_that_somebody_else_signed_is_refused(claims: srl.Claims) -> None:
    try:
        srl.verify(srl.sign(json.dumps(claims.members()).encode(), STRANGER, "srl-1"), KEYS)
    except srl.RefusedListError as error:
        assert error.code == "bad_signature"  # noqa: PT017  any other outcome is the failure
    else:
        raise AssertionError(claims)


WORDS = st.sampled_from(["alg", "typ", "kid", "EdDSA", "none", srl.TYP, "srl-1", "b64", "crit"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=8,
)
SEGMENTS = st.binary(max_size=60) | VALUES.map(lambda value: json.dumps(value).encode())
TOKENS = st.lists(SEGMENTS, min_size=3, max_size=3).map(
    lambda parts: b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts)
)


@given(st.text(max_size=80) | st.binary(max_size=80) | TOKENS)
def test_no_text_does_more_than_be_refused(text: str | bytes) -> None:
    try:
        srl.verify(text, KEYS)
    except srl.RefusedListError:
        return
    raise AssertionError(text)


TICK = 30
LATE = 120  # seconds that a kubelet may take to bring a changed Secret into a Pod


class Replica:
    """A verifier whose mounted copy of the Secret is some seconds late."""

    def __init__(self, mount: Path, secret: Path, late: int) -> None:
        self.mount, self.secret, self.late = mount, secret, late
        self.now = 0.0
        self.sync()
        self.restart()

    def sync(self) -> None:
        shutil.rmtree(self.mount, ignore_errors=True)
        shutil.copytree(self.secret, self.mount)

    def restart(self) -> None:
        self.keys = SigningKeys(self.mount, clock=lambda: self.now)

    def tick(self, now: float, changed_at: float) -> None:
        self.now = now
        if changed_at + self.late <= now < changed_at + self.late + TICK:
            self.sync()
        self.keys.reread()

    def published(self) -> set[str]:
        return {member["kid"] for member in json.loads(self.keys.jwks)["keys"]}


@settings(max_examples=40)
@given(
    promotions=st.sets(st.integers(0, 120), max_size=4),
    restarts=st.sets(st.tuples(st.integers(0, 120), st.integers(0, 1)), max_size=4),
    late=st.tuples(st.integers(0, LATE), st.integers(0, LATE)),
)
def test_whoever_keeps_a_jwks_no_longer_than_it_may_knows_every_key_that_signs(
    promotions: set[int], restarts: set[tuple[int, int]], late: tuple[int, int]
) -> None:
    """Promoted at most every 15 minutes, with no verifier starting 15 minutes before or 2 minutes after."""
    with tempfile.TemporaryDirectory() as directory:
        secret = Path(directory, "secret")
        create(secret)
        replicas = [Replica(Path(directory, str(n)), secret, late[n]) for n in range(2)]
        fetched: list[tuple[float, set[str]]] = []
        changed_at = restarted_at = -SETTLED - LATE
        for number in range(121):
            now = float(number * TICK)
            if number in promotions and now - max(changed_at, restarted_at) >= SETTLED:
                promote(secret)
                changed_at = now
            for n, replica in enumerate(replicas):
                if (number, n) in restarts and now - changed_at > LATE + TICK:
                    replica.now = now
                    replica.restart()
                    restarted_at = now
                replica.tick(now, changed_at)
            fetched.extend((now, replica.published()) for replica in replicas)
            for replica in replicas:
                kid = replica.keys.signer(Purpose.LIST).kid
                assert all(kid in jwks for at, jwks in fetched if now - at <= JWKS_MAX_AGE)
