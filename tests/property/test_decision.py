"""What holds for every decision, whatever there is and whoever asks."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.decision.decide import Allowed, Decision, decide
from keywright.decision.index import KINDS, Index
from keywright.decision.request import Request
from property.decision_reference import Answer, Asked, Object, World, answer
from property.worlds import KEYS, NOW, WORLDS, asked, events, index_of, request_of

if TYPE_CHECKING:
    from keywright.keys.raw import RawKey

MOMENTS = st.sampled_from([NOW - 1.5, NOW - 1, NOW - 0.001, NOW, NOW + 0.5, NOW + 1, NOW + 3600.0])


def spoken(decision: Decision) -> Answer:
    if not isinstance(decision, Allowed):
        return Answer(decision.code.value, frozenset(decision.scopes))
    return Answer(
        "allowed",
        headers=tuple((name.decode(), value.decode()) for name, value in decision.headers),
        limits=tuple((b.owner, b.rule.requests, int(b.rule.period), b.rule.burst) for b in decision.buckets),
    )


@settings(max_examples=300, deadline=None)
@given(WORLDS, st.lists(asked(), min_size=1, max_size=6), MOMENTS, st.randoms(use_true_random=False))
def test_a_decision_is_what_the_contract_says(
    world: World, requests: list[Asked], now: float, shuffled: Any
) -> None:
    told = events(world)
    shuffled.shuffle(told)
    index = index_of(told)
    for one in requests:
        assert answer(world, one, now) == spoken(decide(index, request_of(one), now))


UNTOUCHED = {"name", "namespace", "uid", "keyID", "apiKeyRef"}
JUNK = st.sampled_from([[[]], 1.5, {"x": [1]}])


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the path to everything within an object but its name and what a Revocation names."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    below = [place for name, one in inner if name not in UNTOUCHED for place in places(one, (*path, name))]
    return [path, *below] if path else below


def with_junk(obj: Object, path: tuple[Any, ...], junk: Any) -> Object:
    changed = deepcopy(obj)
    target = changed
    for part in path[:-1]:
        target = target[part]
    # An object with one unknown field would be a valid, empty one.
    target[path[-1]] = [[]] if isinstance(target[path[-1]], dict) and isinstance(junk, dict) else junk
    return changed


@settings(max_examples=300, deadline=None)
@given(WORLDS, asked(), JUNK, st.data())
def test_what_cannot_be_parsed_never_allows_what_was_denied(
    world: World, one: Asked, junk: Any, data: st.DataObject
) -> None:
    # Of one ApiKey: where two have the same digest, it is the other's turn when the first has no meaning.
    told = events(world._replace(api_keys={"shop/a": world.api_keys["shop/a"]}))
    before = decide(index_of(told), request_of(one), NOW)
    place = data.draw(st.sampled_from(range(len(told))))
    kind, obj = told[place]
    told[place] = kind, with_junk(obj, data.draw(st.sampled_from(places(obj))), junk)
    after = decide(index_of(told), request_of(one), NOW)
    assert isinstance(before, Allowed) or not isinstance(after, Allowed)


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["9" * 5000, "0001-01-01T00:00:00+14:00"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(
                [
                    "metadata",
                    "spec",
                    "status",
                    "name",
                    "namespace",
                    "uid",
                    "keys",
                    "keyID",
                    "apiKeyRef",
                    "labels",
                    "resourceVersion",
                    "conditions",
                    "id",
                    "creationTimestamp",
                    "projectRef",
                    "routes",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(KINDS),
    st.dictionaries(st.sampled_from(["metadata", "spec", "status"]), ANYTHING),
    st.dictionaries(
        st.sampled_from(["resourceVersion", "labels", "creationTimestamp", "deletionTimestamp"]), ANYTHING
    ),
)
def test_no_object_whatsoever_makes_the_index_fail(kind: str, obj: Object, about: Object) -> None:
    index = Index()
    index.put(kind, obj)
    index.put(kind, obj | {"metadata": about | {"name": "a", "namespace": "shop", "uid": "u"}})
    index.replace(kind, [obj])
    assert isinstance(index.size(kind), int)


def an_api_key(uid: str, key: RawKey, version: int, *, state: str = "Active", **more: Any) -> Object:
    about = {"name": "a", "namespace": "shop", "uid": uid, "resourceVersion": str(version)}
    created = {"creationTimestamp": "2027-01-15T07:00:00Z"}
    generation = {
        "id": key.id,
        "revision": 1,
        "digest": key.digest,
        "hint": key.hint,
        "cause": "First",
        "state": state,
        "createdAt": "2027-01-15T07:00:00Z",
    }
    return {
        "metadata": about | created | more,
        "spec": {"projectRef": {"name": "payments", "namespace": "platform"}},
        "status": {"keys": [generation]},
    }


def a_revocation(name: str, version: int, **spec: Any) -> Object:
    namespace, plain = name.split("/")
    about = {"name": plain, "namespace": namespace, "uid": f"uid-{plain}", "resourceVersion": str(version)}
    return {"metadata": about | {"creationTimestamp": "2027-01-15T07:30:00Z"}, "spec": spec}


# One ApiKey in its states, another of that name that came later, and the first brought back from a backup.
FIRST = [
    an_api_key("u1", KEYS[0], 1),
    an_api_key("u1", KEYS[0], 2, state="Retiring"),
    an_api_key("u1", KEYS[0], 3, state="Revoked"),
    an_api_key("u1", KEYS[0], 4, deletionTimestamp="2027-01-15T07:40:00Z"),
]
LATE = an_api_key("u2", KEYS[1], 8)
RESTORED = an_api_key("u3", KEYS[0], 9)
BY_ID = a_revocation("shop/by-id", 5, keyID=KEYS[0].id)
BY_NAME = a_revocation("platform/by-name", 6, apiKeyRef={"name": "a", "namespace": "shop"})
FOREIGN = a_revocation("elsewhere/r", 7, keyID=KEYS[0].id)

EVENTS = st.one_of(
    st.tuples(
        st.just("put"), st.just("apikey"), st.sampled_from([*FIRST, FIRST[0], FIRST[1], LATE, RESTORED])
    ),
    st.tuples(st.just("put"), st.just("revocation"), st.sampled_from([BY_ID, BY_NAME, FOREIGN])),
    st.tuples(st.just("remove"), st.just("apikey"), st.sampled_from([FIRST[3], LATE, RESTORED])),
    st.tuples(st.just("remove"), st.just("revocation"), st.sampled_from([BY_ID, BY_NAME, FOREIGN])),
    st.tuples(
        st.just("replace"),
        st.just("apikey"),
        st.sampled_from([[], [FIRST[0]], [FIRST[1]], [FIRST[2]], [LATE], [RESTORED]]),
    ),
    st.tuples(
        st.just("replace"), st.just("revocation"), st.sampled_from([[], [BY_ID], [BY_NAME], [BY_ID, FOREIGN]])
    ),
)


class Memory:
    """What somebody remembers who saw every event: which key may never be let in again."""

    def __init__(self) -> None:
        self._ids: set[str] = set()
        self._uids: set[str] = set()
        self._standing = False

    def told(self, what: str, kind: str, arg: Any, before: str | None, after: str | None) -> None:
        objects = arg if what == "replace" else [arg]
        if kind == "apikey" and what == "remove":
            self._uids.add(arg["metadata"]["uid"])
        if what != "remove" and any(obj in (*FIRST[2:], BY_ID) for obj in objects):
            self._ids.add(KEYS[0].id)
        if kind == "revocation" and (what == "replace" or arg is BY_NAME):
            self._standing = what != "remove" and BY_NAME in objects
        if self._standing or (
            what == "put" and arg is BY_NAME
        ):  # every ApiKey here is older than that Revocation
            self._ids |= {KEYS[0].id, KEYS[1].id}
        if before is not None and before != after:
            self._ids.add(HELD[before])

    def dead(self, key: RawKey, uid: str | None) -> bool:
        return key.id in self._ids or uid in self._uids


HELD = {"u1": KEYS[0].id, "u2": KEYS[1].id, "u3": KEYS[0].id}


def known(index: Index) -> str | None:
    entry = index.entry("shop/a")
    return None if entry is None else entry.uid


@settings(max_examples=1000, deadline=None)
@given(st.lists(EVENTS, max_size=10))
def test_no_order_of_events_lets_a_revoked_key_in(happened: list[tuple[str, str, Any]]) -> None:
    index, memory = index_of([("project", PROJECT)]), Memory()
    for what, kind, arg in happened:
        before = known(index)
        if what == "put":
            index.put(kind, arg)
        elif what == "replace":
            index.replace(kind, arg)
        else:
            about = arg["metadata"]
            version = str(int(about["resourceVersion"]) + 1)
            name = f"{about['namespace']}/{about['name']}"
            index.remove(kind, name, uid=about["uid"], resource_version=version)
        memory.told(what, kind, arg, before, known(index))
        uid = known(index)
        for key in KEYS[:2]:
            allowed = isinstance(decide(index, bearer(key), NOW), Allowed)
            assert allowed == (uid is not None and HELD[uid] == key.id and not memory.dead(key, uid))


PROJECT = {
    "metadata": {"name": "payments", "namespace": "platform", "uid": "p", "resourceVersion": "1"},
    "spec": {"allowedNamespaces": {"from": "All"}},
}


def bearer(key: RawKey) -> Request:
    return Request("platform/payments", "GET", "/", "", (b"Bearer " + key.value.encode(),), (), (), None)
