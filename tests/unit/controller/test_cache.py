"""The cache: the newest state wins, whatever the order of arrival."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from unittest.mock import Mock

import pytest

from keywright.controller import cache as cached
from keywright.controller.cache import Cache, Summary, summarise
from keywright.keys import grants


def api_key(
    version: int = 1, *, uid: str = "u1", project: str | None = None, **status: Any
) -> dict[str, Any]:
    metadata = {
        "namespace": "shop",
        "name": "checkout",
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 3,
        "managedFields": [{"manager": "kubectl"}],
    }
    ref = {"name": "payments", "namespace": project} if project else {"name": "payments"}
    return {"metadata": metadata, "spec": {"projectRef": ref, "displayName": "Café"}, "status": status}


@pytest.fixture
def cache() -> Cache:
    return Cache()


def test_what_was_put_comes_back_without_managed_fields(cache: Cache) -> None:
    obj = api_key()
    assert cache.put("apikey", obj)
    del obj["metadata"]["managedFields"]
    assert cache.get("apikey", "shop/checkout") == obj
    assert cache.version("apikey", "shop/checkout") == ("u1", 1)
    assert cache.generation("apikey", "shop/checkout") == ("u1", 3)
    assert cache.keys("apikey") == ["shop/checkout"]
    assert cache.keys("project") == []


def test_versions_are_compared_as_numbers(cache: Cache) -> None:
    cache.put("apikey", api_key(9))
    assert cache.put("apikey", api_key(10))
    assert not cache.put("apikey", api_key(9))
    assert cache.version("apikey", "shop/checkout") == ("u1", 10)


def test_an_old_deletion_does_not_erase_a_new_object(cache: Cache) -> None:
    cache.put("apikey", api_key(7, uid="u2"))
    assert not cache.remove("apikey", "shop/checkout", resource_version="5")
    assert cache.get("apikey", "shop/checkout") is not None


def test_a_late_answer_does_not_revive_a_deleted_object(cache: Cache) -> None:
    cache.put("apikey", api_key(5))
    assert cache.remove("apikey", "shop/checkout", resource_version="8")
    assert not cache.put("apikey", api_key(7))
    assert cache.get("apikey", "shop/checkout") is None
    assert cache.put("apikey", api_key(9, uid="u2"))


def test_a_removal_without_a_version_is_final_for_what_was_known(cache: Cache) -> None:
    cache.put("apikey", api_key(5))
    assert cache.remove("apikey", "shop/checkout")
    assert not cache.remove("apikey", "shop/checkout")
    assert not cache.put("apikey", api_key(5))


def test_what_is_changed_outside_does_not_change_the_cache(cache: Cache) -> None:
    cache.put("apikey", api_key())
    taken = cache.get("apikey", "shop/checkout")
    assert taken is not None
    taken["spec"]["displayName"] = "other"
    again = cache.get("apikey", "shop/checkout")
    assert again is not None
    assert again["spec"]["displayName"] == "Café"


def test_api_keys_are_found_by_project(cache: Cache) -> None:
    cache.put("apikey", api_key(1, project="platform"))
    assert cache.api_keys_of("platform/payments") == ["shop/checkout"]
    cache.put("apikey", api_key(2))
    assert cache.api_keys_of("platform/payments") == []
    assert [summary.key for summary in cache.summaries_of("shop/payments")] == ["shop/checkout"]
    cache.remove("apikey", "shop/checkout")
    assert cache.api_keys_of("shop/payments") == []
    assert list(cache.summaries()) == []


def one_of_many(name: str, version: int, **changes: Any) -> dict[str, Any]:
    """An ApiKey of the one Project `platform/payments`, whose limits may count it."""
    obj = api_key(version, uid=f"u-{name}", project="platform", **changes.get("status", {}))
    created = "2026-01-01T00:00:00Z"
    metadata = {"name": name, "creationTimestamp": created, **changes.get("metadata", {})}
    return {**obj, "metadata": obj["metadata"] | metadata}


def test_before_an_api_key_count_those_that_have_a_key_then_the_older_then_the_smaller_uid(
    cache: Cache,
) -> None:
    many: dict[str, dict[str, Any]] = {
        "c": {},
        "z": {"status": {"revision": 1}},
        "a": {},
        "b": {"metadata": {"namespace": "other"}},
        "gone": {"metadata": {"uid": "u-0", "deletionTimestamp": "2026-01-02T00:00:00Z"}},
        "y": {"metadata": {"creationTimestamp": "2025-12-31T00:00:00Z"}},
    }
    for version, (name, changes) in enumerate(many.items(), start=1):
        cache.put("apikey", one_of_many(name, version, **changes))
    cache.put("apikey", api_key(7, uid="u-00"))  # of another Project
    counts = {name: cache.counts_before(f"shop/{name}") for name in ("z", "y", "a", "c")}
    assert {"z": (0, 0), "y": (1, 1), "a": (2, 2), "c": (4, 3)} == counts
    assert (3, 0) == cache.counts_before("other/b")


def test_what_counts_before_follows_every_change(cache: Cache) -> None:
    for version, name in enumerate("abcd", start=1):
        cache.put("apikey", one_of_many(name, version))
    assert (3, 3) == cache.counts_before("shop/d")
    cache.put("apikey", one_of_many("a", 5, metadata={"deletionTimestamp": "2026-01-02T00:00:00Z"}))
    assert (2, 2) == cache.counts_before("shop/d")
    cache.remove("apikey", "shop/a")
    cache.remove("apikey", "shop/b")
    assert (1, 1) == cache.counts_before("shop/d")
    cache.put("apikey", one_of_many("d", 6, status={"revision": 1}))
    assert (0, 0) == cache.counts_before("shop/d")
    assert (1, 1) == cache.counts_before("shop/c")
    assert (0, 0) == cache.counts_before("shop/a"), "one that is not known"


def test_among_thousands_few_are_looked_at_to_count(cache: Cache, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(2000):
        cache.put("apikey", one_of_many(f"{number:04}", number + 1))
    looked = Mock(side_effect=grants.rank)
    monkeypatch.setattr(cached, "rank", looked)
    assert (1999, 1999) == cache.counts_before("shop/1999")
    assert looked.call_count < 50


def test_those_that_wait_for_room_in_a_quota_are_found(cache: Cache) -> None:
    waiting = {"conditions": [{"type": "Ready", "status": "False", "reason": "QuotaExceeded"}]}
    cache.put("apikey", one_of_many("a", 1, status=waiting))
    cache.put("apikey", one_of_many("b", 2))
    assert ["shop/a"] == cache.api_keys_over_quota("platform/payments")
    cache.put("apikey", one_of_many("a", 3))
    assert [] == cache.api_keys_over_quota("platform/payments")


def test_api_keys_are_found_by_namespace(cache: Cache) -> None:
    cache.put("apikey", one_of_many("a", 1))
    cache.put("apikey", one_of_many("b", 2, metadata={"namespace": "other"}))
    assert ["shop/a"] == cache.api_keys_in("shop")
    cache.remove("apikey", "shop/a")
    assert [] == cache.api_keys_in("shop")


def test_the_reasons_of_a_kind_are_those_of_what_is_there_now(cache: Cache) -> None:
    cache.put("project", api_key(1, conditions=[{"type": "Ready", "reason": "InvalidSpec"}]))
    assert list(cache.reasons("project")) == ["InvalidSpec"]
    cache.put("project", api_key(2, conditions=[{"type": "Ready", "reason": "Accepted"}]))
    assert list(cache.reasons("project")) == ["Accepted"]
    cache.remove("project", "shop/checkout")
    assert list(cache.reasons("project")) == []


def test_what_mentions_a_text_is_found(cache: Cache) -> None:
    cache.put("apikey", api_key(keys=[{"digest": "sha256:ab"}]))
    assert cache.mentioning("apikey", "sha256:ab") == ["shop/checkout"]
    assert cache.mentioning("apikey", "sha256:cd") == []


def test_a_summary_says_what_counting_needs() -> None:
    conditions = [
        {"type": "Rotating", "status": "True", "reason": "Overlap"},
        {"type": "Ready", "status": "True", "reason": "Active"},
    ]
    generations = [{"id": "k2", "state": "Active"}, {"id": "k1", "state": "Retiring"}]
    times: dict[str, Any] = {
        "nextRotationTime": "2026-02-01T00:00:00Z",
        "expiresAt": "2026-03-01T00:00:00Z",
    }
    obj = api_key(conditions=conditions, keys=generations, revision=4, **times)
    obj["metadata"] |= {
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "deletionTimestamp": "2026-01-02T00:00:00Z",
    }
    expected = Summary(
        key="shop/checkout",
        uid="u1",
        namespace="shop",
        project="shop/payments",
        secret="shop/checkout",
        created="2026-01-01T00:00:00Z",
        ready=True,
        deleting=True,
        revision=4,
        reason="Active",
        key_ids=("k2", "k1"),
        converged=False,
        states=("Active", "Retiring"),
        next_rotation=datetime(2026, 2, 1, tzinfo=UTC).timestamp(),
        expires=datetime(2026, 3, 1, tzinfo=UTC).timestamp(),
    )
    assert expected == summarise(obj)
    assert expected.retiring


def test_an_object_with_nothing_in_it_is_summed_up_all_the_same() -> None:
    status = {"keys": None, "expiresAt": "soon"}
    summary = summarise({"metadata": {"namespace": "a", "name": "b"}, "status": status})
    assert (summary.project, summary.ready, summary.revision, summary.expires) == ("a/", False, 0, None)


@pytest.mark.parametrize(
    "odd",
    [
        {"spec": "text", "status": "text"},
        {"spec": [1], "status": [1]},
        {"spec": {"projectRef": "payments"}, "status": {"keys": "all", "conditions": 7}},
        {"spec": {"projectRef": [1]}, "status": {"keys": [7, None, {"id": 5}], "conditions": ["Ready"]}},
        {"status": {"revision": "three", "keys": {"id": "a"}}},
    ],
)
def test_an_object_of_an_impossible_form_is_summed_up_as_one_that_says_nothing(odd: dict[str, Any]) -> None:
    metadata = {"namespace": "shop", "name": "checkout", "uid": "u1", "resourceVersion": "5"}
    cache = Cache()
    assert cache.put("apikey", {"metadata": metadata, **odd})
    (summary,) = cache.summaries()
    assert summary.key == "shop/checkout"
    assert (summary.project, summary.ready, summary.revision, summary.key_ids) == ("shop/", False, 0, ())


@pytest.mark.parametrize(
    ("asked", "converged"),
    [({}, True), ({"keywright.dev/rotate": "a"}, True), ({"keywright.dev/regenerate": "b"}, False)],
)
def test_it_has_converged_if_nothing_was_asked_since_it_was_ready(
    asked: dict[str, str], *, converged: bool
) -> None:
    ready = [{"type": "Ready", "status": "True", "reason": "Active"}]
    obj = api_key(conditions=ready, handledTokens=["a"], observedGeneration=2)
    obj["metadata"] |= {"annotations": asked, "generation": 2}
    assert summarise(obj).converged is converged
    obj["metadata"]["generation"] = 3
    assert not summarise(obj).converged


def test_one_whose_first_key_is_being_revealed_comes_before_those_without() -> None:
    cache = Cache()
    for name, version in (("b", 1), ("a", 2)):
        obj = api_key(version=version)
        obj["metadata"] |= {"name": name, "uid": name}
        cache.put("apikey", obj)
    assert cache.counts_before("shop/a") == (0, 0)
    cache.revealing("shop/b")
    assert cache.counts_before("shop/a") == (1, 1)
    refused = api_key(version=3)
    refused["metadata"] |= {"name": "b", "uid": "b"}
    cache.put("apikey", refused)
    assert cache.counts_before("shop/a") == (0, 0)
