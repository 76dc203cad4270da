"""How the index takes over what watches tell. In general: tests/property/test_decision.py."""

from __future__ import annotations

from typing import Any

import pytest

from keywright.decision.code import Code
from keywright.decision.decide import Allowed, Denied, decide
from keywright.decision.index import Index
from keywright.decision.limits import LocalStore
from unit.decision.objects import (
    API_KEY,
    CREATED,
    KEY,
    NOW,
    OTHER,
    PAST,
    PROJECT,
    Object,
    api_key,
    generation,
    index_of,
    project,
    request,
    revocation,
)

LATER = {"creationTimestamp": "2027-01-15T07:30:00Z"}
BY_NAME = revocation("shop/r", about={"creationTimestamp": PAST}, apiKeyRef={"name": "checkout"})


def at(version: int, obj: Object, **about: Any) -> Object:
    return obj | {"metadata": obj["metadata"] | {"resourceVersion": str(version)} | about}


def answer(index: Index, key: Any = KEY) -> str:
    decision = decide(index, request(key), NOW)
    return decision.code.value if isinstance(decision, Denied) else "allowed"


def with_key(obj: Object | None = None) -> Index:
    return index_of(project=[project()], apikey=[obj or api_key()])


def test_an_older_state_that_comes_late_changes_nothing() -> None:
    index = with_key(at(5, api_key(suspend=True)))
    index.put("apikey", at(4, api_key()))
    assert "disabled_api_key" == answer(index)
    index.put("apikey", at(6, api_key()))
    assert "allowed" == answer(index)


def test_an_apikey_that_is_deleted_is_unknown_and_one_that_is_being_deleted_revoked() -> None:
    index = with_key()
    index.put("apikey", at(2, api_key(), deletionTimestamp=PAST))
    assert "revoked_api_key" == answer(index)
    index.remove("apikey", API_KEY, uid="uid-checkout", resource_version="3")
    assert "invalid_api_key" == answer(index)
    index.put("apikey", at(1, api_key()))
    assert "invalid_api_key" == answer(index)


def test_a_deletion_of_one_that_was_replaced_meanwhile_takes_nothing_away() -> None:
    index = with_key()
    index.put("apikey", at(5, api_key(API_KEY, generation(OTHER)), uid="new"))
    index.remove("apikey", API_KEY, uid="uid-checkout", resource_version="4")
    assert ["invalid_api_key", "allowed"] == [answer(index, key) for key in (KEY, OTHER)]


def test_a_key_that_was_revoked_stays_so_when_its_status_and_all_records_are_gone() -> None:
    index = with_key()
    index.put("revocation", revocation("shop/r", keyID=KEY.id))
    index.remove("revocation", "shop/r", uid="uid-r", resource_version="9")
    index.put("apikey", at(9, api_key()))
    assert "revoked_api_key" == answer(index)


@pytest.mark.parametrize(
    "told",
    [
        api_key(API_KEY, generation(state="Revoked")),
        api_key(about={"deletionTimestamp": PAST}),
        api_key(API_KEY, generation(state="Revoked"), scopes="unreadable"),
    ],
)
def test_a_key_that_its_own_status_called_revoked_stays_so_also_when_it_is_brought_back(told: Object) -> None:
    index = with_key()
    index.put("apikey", at(2, told))
    index.put("apikey", at(3, api_key()))
    assert "revoked_api_key" == answer(index)
    index.replace("apikey", [])
    index.put("apikey", at(1, api_key(), uid="from a backup"))
    assert "revoked_api_key" == answer(index)


def test_the_condition_revoked_ends_every_key_of_an_apikey_also_those_to_come() -> None:
    condition = {"type": "Revoked", "status": "True", "reason": "Revoked"}
    told = condition | {"lastTransitionTime": PAST, "observedGeneration": 1}
    index = with_key(api_key(status={"conditions": [told]}))
    assert "revoked_api_key" == answer(index)
    index.put("apikey", at(2, api_key(API_KEY, generation(OTHER))))
    assert "revoked_api_key" == answer(index, OTHER)


def test_after_its_revocation_is_deleted_a_new_apikey_of_that_name_is_a_new_one() -> None:
    index = with_key()
    index.put("revocation", BY_NAME)
    assert "revoked_api_key" == answer(index)
    index.remove("revocation", "shop/r", uid="uid-r", resource_version="3")
    assert "revoked_api_key" == answer(index)
    index.put("apikey", at(5, api_key(API_KEY, generation(OTHER), about=LATER), uid="new"))
    assert "allowed" == answer(index, OTHER)


def test_while_it_stands_a_revocation_by_name_acts_on_a_new_apikey_too() -> None:
    index = with_key()
    index.put("revocation", BY_NAME)
    index.put("apikey", at(5, api_key(API_KEY, generation(OTHER), about=LATER), uid="new"))
    assert "revoked_api_key" == answer(index, OTHER)


def test_an_apikey_that_becomes_known_after_its_revocation_came_and_went_is_revoked() -> None:
    index = index_of(project=[project()], revocation=[BY_NAME])
    index.remove("revocation", "shop/r", uid="uid-r", resource_version="3")
    index.put("apikey", api_key())
    assert "revoked_api_key" == answer(index)
    late = index_of(project=[project()])
    late.remove("revocation", "shop/r", uid="uid-r", resource_version="3")
    late.put("revocation", BY_NAME)
    late.put("apikey", api_key())
    assert "revoked_api_key" == answer(late)


def test_the_copy_of_a_revocation_binds_the_uid_in_its_name_also_when_it_is_gone() -> None:
    ours = {"labels": {"app.kubernetes.io/managed-by": "keywright"}}
    ref = {"name": "checkout", "namespace": "shop"}
    copy = revocation("keywright-system/a-uid-checkout", about=ours, apiKeyRef=ref)
    index = index_of(project=[project()], revocation=[copy])
    index.remove("revocation", "keywright-system/a-uid-checkout", uid="uid-a-uid-checkout")
    index.put("apikey", api_key())
    assert "revoked_api_key" == answer(index)
    index.put("apikey", at(5, api_key(API_KEY, generation(OTHER)), uid="new"))
    assert "allowed" == answer(index, OTHER)


def test_an_id_that_somebody_else_made_up_and_calls_revoked_harms_nobody() -> None:
    made_up = api_key("evil/x", generation(OTHER, id=KEY.id, state="Revoked"))
    index = index_of(project=[project()], apikey=[made_up, api_key()])
    assert ["allowed", "revoked_api_key"] == [answer(index, key) for key in (KEY, OTHER)]


def test_a_list_replaces_what_is_known_and_of_one_namespace_that_only() -> None:
    index = index_of(project=[project()], apikey=[api_key(), api_key("other/x", generation(OTHER))])
    assert 0 == index.replace("apikey", [], namespace="other")
    assert ["allowed", "invalid_api_key"] == [answer(index, key) for key in (KEY, OTHER)]
    for _ in range(2):
        assert 1 == index.replace("apikey", [at(2, api_key(type="Unheard"))])
    assert "invalid_api_key" == answer(index)
    assert (1, 1) == (index.size("apikey"), index.size("project"))


def test_after_a_restore_of_etcd_the_list_counts_though_its_versions_are_older() -> None:
    index = index_of(project=[project()], apikey=[at(90, api_key())])
    index.replace("apikey", [at(50, api_key(suspend=True))], resource_version="60")
    assert "disabled_api_key" == answer(index)
    index.put("apikey", at(51, api_key()))
    assert "allowed" == answer(index)


def test_after_a_restore_an_equal_version_need_not_be_an_equal_object() -> None:
    index = index_of(
        project=[project()], apikey=[at(50, api_key()), at(90, api_key("shop/x", generation(OTHER)))]
    )
    index.replace("apikey", [at(50, api_key(suspend=True))], resource_version="60")
    assert "disabled_api_key" == answer(index)


def test_what_cannot_be_read_is_told_to_whoever_puts_it() -> None:
    index = Index()
    assert index.put("apikey", api_key())
    assert not index.put("apikey", at(2, api_key(restrictions={"cidrs": ["10.1.2.3/8"]})))
    assert not index.put("apikey", at(3, api_key(API_KEY, generation(digest="sha256:short"))))
    assert not index.put("apikey", at(4, api_key(API_KEY, generation(), generation(id=OTHER.id))))
    assert not index.put("apikey", at(5, api_key(API_KEY, generation(expiresAt="9999-12-31T23:59:59.5Z"))))
    assert not index.put("project", project(rateLimits=[{"requests": 1, "period": "soon"}]))
    assert not index.put("project", {"metadata": {}})
    assert not index.holders


LIMIT: Object = {"rateLimits": [{"requests": 1, "period": "1m"}]}


@pytest.mark.parametrize(("of_project", "of_key"), [(LIMIT, {}), ({}, LIMIT)])
def test_rotation_edits_and_mistakes_refill_no_bucket(of_project: Object, of_key: Object) -> None:
    index = index_of(project=[project(**of_project)], apikey=[api_key(**of_key)])
    rotated = api_key(API_KEY, generation(OTHER), **of_key)
    assert LocalStore().take(decide_allowed(index, KEY).buckets, NOW).allowed
    index.put("apikey", at(2, rotated))
    index.put("project", at(2, project(displayName="new", **of_project)))
    assert not LocalStore().take(decide_allowed(index, OTHER).buckets, NOW).allowed
    index.put("apikey", at(3, api_key(type="Unheard")))
    index.put("project", at(3, project(routes="none")))
    index.put("apikey", at(4, rotated))
    index.put("project", at(4, project(**of_project)))
    assert not LocalStore().take(decide_allowed(index, OTHER).buckets, NOW).allowed


def decide_allowed(index: Index, key: Any) -> Allowed:
    decision = decide(index, request(key), NOW)
    assert isinstance(decision, Allowed)
    return decision


def test_a_project_that_changes_counts_at_the_next_request_and_its_status_compiles_nothing() -> None:
    index = with_key()
    terms = index.projects[PROJECT]
    index.put("project", at(2, project() | {"status": {"keys": {"total": 9}}}))
    assert terms is index.projects[PROJECT]
    index.put("project", at(3, project(suspend=True)))
    assert "project_suspended" == answer(index)
    index.remove("project", PROJECT, uid="uid-payments", resource_version="4")
    assert "project_not_found" == answer(index)
    index.put("project", at(5, project(), uid="new"))
    assert "allowed" == answer(index)


def test_the_index_knows_its_apikeys_by_name() -> None:
    index = with_key()
    entry = index.entry(API_KEY)
    assert entry is not None
    assert [entry] == list(index.entries())
    assert (KEY.id, PROJECT) == (entry.generations[0].id, entry.project)
    assert index.entry("shop/none") is None


def test_denied_and_allowed_show_no_digest_and_no_key() -> None:
    for decision in (
        decide(with_key(), request(), NOW),
        decide(with_key(api_key(suspend=True)), request(), NOW),
    ):
        assert KEY.value not in repr(decision)
        assert KEY.digest.removeprefix("sha256:") not in repr(decision)


def test_created_at_the_same_second_as_a_revocation_that_is_gone_counts_as_older() -> None:
    index = index_of(project=[project()])
    index.put(
        "revocation",
        revocation("shop/r", about={"creationTimestamp": CREATED}, apiKeyRef={"name": "checkout"}),
    )
    index.remove("revocation", "shop/r", uid="uid-r", resource_version="3")
    index.put("apikey", api_key())
    assert Code.REVOKED_API_KEY.value == answer(index)
