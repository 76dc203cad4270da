"""What a request is answered, rule by rule and in order. See also tests/property/test_decision.py."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keywright.api.project import KeyType
from keywright.decision.code import Code
from keywright.decision.decide import Allowed, Denied, decide
from keywright.keys import raw
from unit.decision.objects import (
    API_KEY,
    KEY,
    NOW,
    OTHER,
    PAST,
    SOON,
    Object,
    api_key,
    generation,
    index_of,
    namespace,
    project,
    request,
    revocation,
)

if TYPE_CHECKING:
    from keywright.decision.index import Index
    from keywright.decision.request import Request


def code(index: Index, asked: Request | None = None, *, now: float = NOW) -> Code | None:
    """Return why a request is denied; None: it is allowed."""
    decision = decide(index, asked or request(), now)
    return decision.code if isinstance(decision, Denied) else None


def answered(obj: Object | None = None, asked: Request | None = None, **of_project: Any) -> Code | None:
    return code(index_of(project=[project(**of_project)], apikey=[obj or api_key()]), asked)


def test_a_good_key_is_allowed_with_its_whole_identity() -> None:
    obj = api_key(
        API_KEY,
        generation(expiresAt=SOON),
        type="Production",
        owner="bot",
        scopes=["data:write", "data:read"],
    )
    decision = decide(index_of(project=[project()], apikey=[obj]), request(), NOW)
    assert isinstance(decision, Allowed)
    assert (
        (b"x-auth-key-id", KEY.id.encode()),
        (b"x-auth-api-key", b"shop/checkout"),
        (b"x-auth-project", b"platform/payments"),
        (b"x-auth-scopes", b"data:read data:write"),
        (b"x-auth-type", b"Production"),
        (b"x-auth-service-account", b"bot"),
        (b"x-auth-expires-at", SOON.encode()),
    ) == decision.headers


def test_on_a_public_route_nobody_is_asked_and_the_identity_is_there_and_empty() -> None:
    index = index_of(project=[project(routes=[{"path": "/", "public": True}])])
    for asked in (request(), request(authorization=(), query="key=1"), request(api_keys=(b"a", b"b"))):
        decision = decide(index, asked, NOW)
        assert isinstance(decision, Allowed)
        assert [7, {b""}] == [len(decision.headers), {value for _, value in decision.headers}]
        assert (None, ()) == (decision.entry, decision.buckets)


def test_what_is_known_of_nobody_is_an_invalid_key_in_whatever_form() -> None:
    wrong = KEY.value[:-1] + ("0" if KEY.value[-1] != "0" else "1")
    for credential in (OTHER.value, wrong, KEY.hint, "", "x" * 100_000):
        asked = request(authorization=(b"Bearer " + credential.encode(),))
        assert answered(asked=asked) is Code.INVALID_API_KEY


def test_a_digest_of_what_has_not_the_form_of_a_key_lets_nobody_in() -> None:
    obj = api_key(API_KEY, generation() | {"digest": raw.digest_of("password")})
    asked = request(authorization=(b"Bearer password",))
    assert answered(obj, asked) is Code.INVALID_API_KEY


def test_a_project_that_is_not_there_or_cannot_be_read_is_not_found() -> None:
    assert answered(asked=request(project="platform/none")) is Code.PROJECT_NOT_FOUND
    assert answered(routes=[{"path": "no slash"}]) is Code.PROJECT_NOT_FOUND
    assert answered(limits={"maxExpiresAfter": "1 day"}) is Code.PROJECT_NOT_FOUND


def test_another_project_learns_nothing_of_a_key_but_that_it_is_another_ones() -> None:
    revoked = api_key(API_KEY, generation(state="Revoked"), suspend=True)
    index = index_of(project=[project(), project("shop/other")], apikey=[revoked])
    decision = decide(index, request(project="shop/other"), NOW)
    assert Denied(Code.WRONG_PROJECT) == decision


def test_of_several_holders_the_oldest_of_the_project_asked_for_counts() -> None:
    older = {"creationTimestamp": "2026-01-01T00:00:00Z"}
    elsewhere = api_key("shop/a", about=older, projectRef={"name": "other"})
    oldest = api_key("shop/b", about=older, suspend=True)
    twin = api_key("shop/c", about=older, restrictions={"cidrs": ["10.0.0.0/8"]})
    youngest = api_key("shop/d")
    found = [project(), project("shop/other")]
    for listed in ([elsewhere, oldest, twin, youngest], [youngest, twin, oldest, elsewhere]):
        assert code(index_of(project=found, apikey=listed)) is Code.DISABLED_API_KEY
        without = [obj for obj in listed if obj is not oldest]
        assert code(index_of(project=found, apikey=without)) is Code.IP_NOT_ALLOWED
        assert code(index_of(project=found, apikey=[elsewhere, youngest])) is None


ENDED = {"state": "Retiring", "retiresAt": PAST, "expiresAt": PAST}


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (ENDED | {"state": "Revoked"}, Code.REVOKED_API_KEY),
        (ENDED, Code.EXPIRED_API_KEY),
        (ENDED | {"state": "Retired"}, Code.EXPIRED_API_KEY),
        ({"state": "Expired", "expiresAt": SOON}, Code.EXPIRED_API_KEY),
        ({"state": "Retiring", "retiresAt": PAST, "expiresAt": SOON}, Code.SUPERSEDED_API_KEY),
        ({"state": "Retired"}, Code.SUPERSEDED_API_KEY),
        ({"state": "Retiring", "retiresAt": SOON}, Code.DISABLED_API_KEY),
        ({"state": "Pending", "retiresAt": PAST}, Code.DISABLED_API_KEY),
        ({}, Code.DISABLED_API_KEY),
    ],
)
def test_of_several_ends_the_first_in_the_order_is_told_and_before_a_suspension(
    told: Object, expected: Code
) -> None:
    assert expected is answered(api_key(API_KEY, generation(**told), suspend=True), suspend=True)


def test_a_key_ends_at_the_second_and_not_before() -> None:
    obj = api_key(API_KEY, generation(expiresAt="2027-01-15T08:00:00Z"))
    index = index_of(project=[project()], apikey=[obj])
    assert code(index, now=NOW - 0.001) is None
    assert code(index, now=NOW) is Code.EXPIRED_API_KEY


def test_the_end_of_the_whole_and_the_maximum_of_the_project_count_at_once() -> None:
    assert answered(api_key(expiresAt=PAST)) is Code.EXPIRED_API_KEY
    assert answered(limits={"maxExpiresAfter": "1h"}) is Code.EXPIRED_API_KEY


def test_an_end_that_the_status_told_stands_for_the_current_key_only() -> None:
    told = {"currentKeyID": KEY.id, "expiresAt": PAST}
    assert answered(api_key(status=told)) is Code.EXPIRED_API_KEY
    assert answered(api_key(status=told | {"currentKeyID": OTHER.id})) is None


def test_the_key_is_named_disabled_before_its_project_and_that_before_its_namespace() -> None:
    same = {"from": "Same"}
    assert answered(api_key(suspend=True), suspend=True) is Code.DISABLED_API_KEY
    assert answered(suspend=True, allowedNamespaces=same) is Code.PROJECT_SUSPENDED
    assert answered(allowedNamespaces=same) is Code.NAMESPACE_NOT_ALLOWED


def test_an_address_is_asked_for_before_an_origin_and_that_before_a_scope() -> None:
    restrictions = {"cidrs": ["10.0.0.0/8"], "origins": ["https://a.example"]}
    obj = api_key(restrictions=restrictions)
    routes = [{"path": "/", "scopes": ["data:read"]}]
    inside = request(client="10.1.2.3")
    assert answered(obj, request(client=None), routes=routes) is Code.IP_NOT_ALLOWED
    assert answered(obj, inside, routes=routes) is Code.ORIGIN_NOT_ALLOWED
    asked = inside._replace(origins=(b"https://a.example",))
    assert answered(obj, asked, routes=routes) is Code.INSUFFICIENT_SCOPE
    assert answered(obj, asked) is None


def test_empty_lists_of_restrictions_restrict_nothing() -> None:
    assert answered(api_key(restrictions={"cidrs": [], "origins": []})) is None


def test_a_client_key_without_origins_is_let_in_from_any_only_where_that_is_written() -> None:
    client = raw.mint("kw", KeyType.CLIENT)
    asked = request(client)
    told = generation(client)
    assert answered(api_key(API_KEY, told, type="Client"), asked) is Code.ORIGIN_NOT_ALLOWED
    anywhere = api_key(API_KEY, told, type="Client", restrictions={"anyOrigin": True})
    assert answered(anywhere, asked) is None


def test_a_missing_scope_is_told_with_all_that_are_needed_and_none_where_no_route_is() -> None:
    routes = [{"path": "/", "scopes": ["a", "b"], "anyScopes": ["c", "d"]}]
    index = index_of(project=[project(routes=routes)], apikey=[api_key(scopes=["a", "c"])])
    denied = decide(index, request(), NOW)
    assert isinstance(denied, Denied)
    assert (Code.INSUFFICIENT_SCOPE, ("a", "b", "c", "d")) == denied[:2]
    nowhere = decide(index, request(path="/none"), NOW)
    assert isinstance(nowhere, Denied)
    assert (Code.INSUFFICIENT_SCOPE, ()) == nowhere[:2]


def test_scopes_are_those_that_the_catalogue_grants_and_wildcards_cover_none_of_keywrights_own() -> None:
    routes = [{"path": "/", "scopes": ["data:read"]}, {"path": "/admin", "scopes": ["keywright:admin"]}]
    all_of_it = api_key(scopes=["*"])
    catalogue = [{"name": "data:read"}, {"name": "keywright:admin"}]
    assert answered(all_of_it, routes=routes, scopes=catalogue) is None
    assert answered(all_of_it, routes=routes) is None
    assert answered(all_of_it, routes=routes, scopes=catalogue[1:]) is Code.INSUFFICIENT_SCOPE
    admin = request(path="/admin")
    assert answered(all_of_it, admin, routes=routes, scopes=catalogue) is Code.INSUFFICIENT_SCOPE
    by_name = api_key(scopes=["keywright:admin"])
    assert answered(by_name, admin, routes=routes, scopes=catalogue) is None
    assert answered(by_name, admin, routes=routes) is Code.INSUFFICIENT_SCOPE


def test_a_key_is_limited_by_its_own_rules_else_by_defaults_else_by_its_type_and_by_the_projects() -> None:
    own, default, shared = ({"requests": n, "period": "1m"} for n in (1, 2, 3))
    anywhere: Object = {"type": "Client", "restrictions": {"anyOrigin": True}}

    def limits(obj: Object, **of_project: Any) -> list[int]:
        decision = decide(index_of(project=[project(**of_project)], apikey=[obj]), request(), NOW)
        assert isinstance(decision, Allowed)
        return [bucket.rule.requests for bucket in decision.buckets]

    defaults = {"rateLimits": [default]}
    assert [1, 3] == limits(api_key(rateLimits=[own]), defaults=defaults, rateLimits=[shared])
    assert [2, 3] == limits(api_key(), defaults=defaults, rateLimits=[shared])
    assert [] == limits(api_key(rateLimits=[]), defaults=defaults)
    assert [100] == limits(api_key(**anywhere))
    assert [] == limits(api_key(**anywhere), defaults={"rateLimits": []})
    assert [] == limits(api_key())


def test_what_is_denied_names_the_key_only_to_who_holds_it() -> None:
    index = index_of(project=[project()], apikey=[api_key(suspend=True)])
    denied = decide(index, request(), NOW)
    assert isinstance(denied, Denied)
    assert denied.entry is not None
    assert denied.generation is not None
    assert (API_KEY, KEY.id) == (denied.entry.name, denied.generation.id)
    assert Denied(Code.INVALID_API_KEY) == decide(index, request(OTHER), NOW)


def test_labels_of_a_namespace_open_and_close_at_once() -> None:
    selector = {"from": "Selector", "selector": {"matchLabels": {"team": "b"}}}
    index = index_of(project=[project(allowedNamespaces=selector)], apikey=[api_key()])
    assert code(index) is Code.NAMESPACE_NOT_ALLOWED
    for version, (labels, expected) in enumerate(
        [({"team": "b"}, None), ({"team": "c"}, Code.NAMESPACE_NOT_ALLOWED), ({"team": "b"}, None)], start=2
    ):
        obj = namespace("shop", **labels)
        obj["metadata"]["resourceVersion"] = str(version)
        index.put("namespace", obj)
        assert expected is code(index)
    index.remove("namespace", "shop", uid="shop", resource_version="9")
    assert code(index) is Code.NAMESPACE_NOT_ALLOWED


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("shop/r", Code.REVOKED_API_KEY),
        ("platform/r", Code.REVOKED_API_KEY),
        ("keywright-system/r", Code.REVOKED_API_KEY),
        ("elsewhere/r", None),
    ],
)
def test_a_revocation_acts_from_the_namespaces_of_key_and_project_and_the_system(
    name: str, expected: Code | None
) -> None:
    by_id = revocation(name, keyID=KEY.id)
    by_name = revocation(name, apiKeyRef={"name": "checkout", "namespace": "shop"})
    unreadable = revocation(name, keyID=KEY.id, reason=7)
    for record in (by_id, by_name, unreadable):
        kinds = {"project": [project()], "apikey": [api_key()], "revocation": [record]}
        for order in (kinds, dict(reversed(kinds.items()))):
            assert expected is code(index_of(**order))


def test_a_revocation_of_one_key_leaves_the_other_of_the_same_apikey() -> None:
    both = api_key(API_KEY, generation(), generation(OTHER, state="Retiring", retiresAt=SOON))
    index = index_of(project=[project()], apikey=[both], revocation=[revocation("shop/r", keyID=OTHER.id)])
    assert [None, Code.REVOKED_API_KEY] == [code(index, request(key)) for key in (KEY, OTHER)]
