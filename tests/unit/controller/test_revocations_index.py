"""Which ApiKey a Revocation means: by what the status names, by nothing that merely mentions it."""

from __future__ import annotations

import gc
import tracemalloc
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import ApiKey
from keywright.api.revocation import RevocationReason
from keywright.controller.cache import Cache
from keywright.controller.ports import Realm
from keywright.controller.revocations import Revocations
from keywright.kube import paths
from keywright.kube.errors import ApiError
from tiny_api import Object, TinyApi

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
FIRST, SECOND = "a" * 16, "b" * 16
MANAGED = {"app.kubernetes.io/managed-by": "keywright"}


class Index:
    """Revocations, with what they know and what they wake."""

    def __init__(self, *namespaces: str) -> None:
        self.api, self.cache = TinyApi(), Cache()
        self.woken: list[tuple[str, bool]] = []
        self.revocations = Revocations(
            self.api,  # type: ignore[arg-type]
            self.cache,
            realm=Realm(namespaces=namespaces, system_namespace="system"),
            wake=self._wake,
            clock=lambda: NOW,
        )

    def _wake(self, key: str, *, urgent: bool = False, last: bool = False) -> None:
        assert not last
        self.woken.append((key, urgent))

    def api_key(self, name: str, *ids: str, version: int = 1, **spec: Any) -> ApiKey:
        """Have an ApiKey known whose status names these generations."""
        keys = [generation(key_id) for key_id in ids]
        obj = {
            "metadata": {
                "name": name,
                "namespace": "shop",
                "uid": f"uid-of-{name}",
                "resourceVersion": str(version),
                "generation": 1,
            },
            "spec": {"projectRef": {"name": "secretive", "namespace": "platform"}, **spec},
            "status": {"keys": keys},
        }
        self.cache.put("apikey", obj)
        return ApiKey.model_validate(obj)

    def revocation(self, name: str, namespace: str = "shop", **spec: Any) -> Object:
        """Have a Revocation observed."""
        obj = self.api.put(
            paths.revocation(namespace, name),
            {
                "metadata": {
                    "name": name,
                    "namespace": namespace,
                    "uid": f"uid-of-{name}",
                    "generation": 1,
                    "creationTimestamp": "2026-11-23T12:00:00Z",
                },
                "spec": spec,
            },
        )
        self.cache.put("revocation", obj)
        self.revocations.observe("ADDED", obj)
        return obj

    async def status(self, name: str, namespace: str = "shop") -> Object:
        """Return what a Revocation's status says after a pass."""
        await self.revocations.reconcile(f"{namespace}/{name}")
        status: Object = self.api.objects[paths.revocation(namespace, name)]["status"]
        return status


def generation(key_id: str) -> Object:
    return {
        "id": key_id,
        "revision": 1,
        "digest": "sha256:" + "0" * 64,
        "hint": f"kw_prod_{key_id}",
        "state": "Active",
        "cause": "First",
        "createdAt": "2026-11-23T12:00:00Z",
    }


@pytest.fixture
def index() -> Index:
    return Index()


async def test_the_holder_of_a_generation_is_woken_urgently_and_found(index: Index) -> None:
    key = index.api_key("checkout", SECOND, FIRST)
    index.revocation("leaked", keyID=FIRST, reason="KeyCompromise")

    assert [("apikey:shop/checkout", True)] == index.woken
    assert {FIRST: RevocationReason.KEY_COMPROMISE} == index.revocations.of_generations(key, [FIRST, SECOND])
    status = await index.status("leaked")
    assert ("InForce", "shop/checkout") == (status["conditions"][0]["reason"], status["apiKey"])
    assert index.api.objects[paths.revocation("system", f"k-{FIRST}")]["spec"]["keyID"] == FIRST


async def test_who_only_mentions_the_id_of_a_key_is_not_meant(index: Index) -> None:
    index.api_key("gossip", description=f'"id":"{FIRST}"', displayName=FIRST)
    index.revocation("leaked", keyID=FIRST)

    assert [] == index.woken
    assert "KeyNotFound" == (await index.status("leaked"))["conditions"][0]["reason"]


async def test_a_generation_that_left_the_status_is_known_no_more(index: Index) -> None:
    index.api_key("checkout", FIRST)
    index.api_key("checkout", SECOND, version=2)
    assert [] == index.cache.holders_of(FIRST)
    assert ["shop/checkout"] == index.cache.holders_of(SECOND)
    index.cache.remove("apikey", "shop/checkout")
    assert [] == index.cache.holders_of(SECOND)


def test_two_that_claim_a_generation_are_both_woken(index: Index) -> None:
    index.api_key("checkout", FIRST)
    index.api_key("forged", FIRST)
    index.revocation("leaked", keyID=FIRST)
    assert {("apikey:shop/checkout", True), ("apikey:shop/forged", True)} == set(index.woken)


def test_a_record_of_ours_wakes_whom_its_annotation_names(index: Index) -> None:
    name = f"k-{FIRST}"
    obj = {
        "metadata": {
            "name": name,
            "namespace": "system",
            "uid": "u",
            "resourceVersion": "1",
            "labels": MANAGED,
            "annotations": {"keywright.dev/api-key": "shop/checkout"},
        },
        "spec": {"keyID": FIRST},
    }
    index.revocations.observe("ADDED", obj)
    assert [("apikey:shop/checkout", True)] == index.woken
    assert {FIRST} == index.revocations.recorded([FIRST, SECOND])


def test_one_that_is_deleted_acts_no_more_and_the_others_of_that_target_do(index: Index) -> None:
    key = index.api_key("checkout", FIRST)
    one = index.revocation("one", keyID=FIRST, reason="PolicyViolation")
    two = index.revocation("two", keyID=FIRST)
    index.revocations.observe("DELETED", two)
    assert {FIRST: RevocationReason.POLICY_VIOLATION} == index.revocations.of_generations(key, [FIRST])
    index.revocations.observe("DELETED", one)
    assert {} == index.revocations.of_generations(key, [FIRST])


def test_an_api_key_that_appears_wakes_what_was_waiting_for_it(index: Index) -> None:
    index.revocation("early", keyID=FIRST)
    index.revocation("other", keyID=SECOND)
    index.api_key("checkout", FIRST)
    known = index.cache.get("apikey", "shop/checkout")
    assert known is not None
    index.revocations.appeared(known)
    assert [("revocation:shop/early", False)] == index.woken


@pytest.mark.parametrize("spec", [{"keyID": FIRST}, {"apiKeyRef": {"name": "checkout", "namespace": "shop"}}])
async def test_a_stranger_is_told_nothing_about_whose_key_it_is(index: Index, spec: Object) -> None:
    key = index.api_key("checkout", FIRST)
    index.revocation("nosy", "elsewhere", **spec)

    status = await index.status("nosy", "elsewhere")

    (ready,) = status["conditions"]
    assert "NotAuthorized" == ready["reason"]
    assert all(word in ready["message"] for word in ("elsewhere", "system"))
    told = str({name: said for name, said in status.items() if name != "conditions"}) + ready["message"]
    assert not [
        word for word in ("checkout", "shop", "secretive", "platform", key.metadata.uid) if word in told
    ]
    assert {} == index.revocations.of_generations(key, [FIRST])
    assert index.revocations.of_whole(key) is None


async def test_after_a_conflict_it_knows_what_is_there_now(index: Index) -> None:
    index.api_key("checkout", FIRST)
    index.revocation("leaked", keyID=FIRST)
    path = paths.revocation("shop", "leaked")
    index.api.put(path, index.api.objects[path])  # a write that no watch tells of

    with pytest.raises(ApiError, match="409"):
        await index.status("leaked")

    assert "InForce" == (await index.status("leaked"))["conditions"][0]["reason"]


def occupied(index: Index, name: str, **spec: Any) -> str:
    """Have a Revocation in the system namespace of which no watch has told; return its path."""
    path = paths.revocation("system", name)
    metadata = {"name": name, "namespace": "system", "uid": "u", "generation": 1}
    index.api.put(path, {"metadata": metadata, "spec": spec})
    return path


WHOLE = {"apiKeyRef": {"name": "checkout", "namespace": "shop"}}


@pytest.mark.parametrize(("name", "spec"), [(f"k-{FIRST}", {"keyID": FIRST}), ("a-uid-of-checkout", WHOLE)])
async def test_a_copy_that_is_there_already_is_success(index: Index, name: str, spec: Object) -> None:
    index.api_key("checkout", FIRST)
    index.revocation("leaked", **spec)
    occupied(index, name, **spec)

    status = await index.status("leaked")

    assert ("InForce", "2026-11-23T12:00:00Z") == (status["conditions"][0]["reason"], status["recordedAt"])


@pytest.mark.parametrize(
    ("name", "spec", "other"),
    [
        (f"k-{FIRST}", {"keyID": FIRST}, {"keyID": SECOND}),
        (f"k-{FIRST}", {"keyID": FIRST}, WHOLE),
        ("a-uid-of-checkout", WHOLE, {"apiKeyRef": {"name": "checkout"}}),  # of the system namespace
    ],
)
async def test_a_copy_whose_name_is_taken_by_another_one_is_not_called_recorded_until_there_is_one(
    index: Index, name: str, spec: Object, other: Object, capsys: pytest.CaptureFixture[str]
) -> None:
    index.api_key("checkout", FIRST)
    index.revocation("leaked", **spec)
    path = occupied(index, name, **other)

    status = await index.status("leaked")

    assert ("InForce", None) == (status["conditions"][0]["reason"], status.get("recordedAt"))
    assert f"its name {name} is taken by another one" in capsys.readouterr().out
    assert 300 == await index.revocations.reconcile("shop/leaked")
    del index.api.objects[path]
    assert "2026-11-23T12:00:00Z" == (await index.status("leaked"))["recordedAt"]
    assert path in index.api.objects


def test_a_record_that_stands_for_a_year_takes_little_memory(index: Index) -> None:
    many = 500
    records = [record(f"{number:016}") for number in range(many)]
    tracemalloc.start()
    for obj in records:
        index.revocations.observe("ADDED", obj)
    index.woken.clear()
    gc.collect()
    taken, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert {f"{many - 1:016}"} == index.revocations.recorded([f"{many - 1:016}"])
    assert taken / many < 2000


def record(key_id: str) -> Object:
    metadata = {"name": f"k-{key_id}", "namespace": "system", "uid": f"uid-{key_id}", "labels": MANAGED}
    annotations = {
        "keywright.dev/api-key": "shop/checkout",
        "keywright.dev/api-key-uid": "uid-of-checkout",
        "keywright.dev/project": "platform/secretive",
        "keywright.dev/until": "2026-12-23T12:00:00Z",
    }
    ready = {
        "type": "Ready",
        "status": "True",
        "reason": "InForce",
        "message": "What it names is never valid again",
        "lastTransitionTime": "2026-11-23T12:00:00Z",
        "observedGeneration": 1,
    }
    return {
        "metadata": {**metadata, "annotations": annotations, "creationTimestamp": "2026-11-23T12:00:00Z"},
        "spec": {"keyID": key_id, "reason": "Deleted"},
        "status": {"conditions": [ready], "recordedAt": "2026-11-23T12:00:00Z"},
    }


def old_record(index: Index, until: str = "2026-01-01T00:00:00Z", **spec: Any) -> str:
    """Have a record of ours known, with its status; return its path."""
    name = f"k-{FIRST}" if not spec else "a-uid-of-checkout"
    path = paths.revocation("system", name)
    annotations = {
        "keywright.dev/api-key": "shop/checkout",
        "keywright.dev/api-key-uid": "uid-of-checkout",
        "keywright.dev/project": "platform/secretive",
        "keywright.dev/until": until,
    }
    metadata = {"name": name, "namespace": "system", "uid": "u", "generation": 1, "labels": MANAGED}
    metadata |= {"annotations": annotations, "creationTimestamp": "2025-01-01T00:00:00Z"}
    obj = index.api.put(path, {"metadata": metadata, "spec": spec or {"keyID": FIRST}})
    index.cache.put("revocation", obj)
    index.revocations.observe("ADDED", obj)
    return path


async def test_a_record_goes_when_its_time_has_come(index: Index) -> None:
    path = old_record(index)
    assert await index.revocations.reconcile(f"system/k-{FIRST}") is None
    assert path not in index.api.objects


async def test_until_then_it_is_due_at_that_time(index: Index) -> None:
    path = old_record(index, "2026-11-23T12:00:00Z")
    assert 30 * 86400 == await index.revocations.reconcile(f"system/k-{FIRST}")
    assert path in index.api.objects


async def test_a_status_that_names_the_key_keeps_its_record_also_where_no_watch_told_of_it(
    index: Index,
) -> None:
    path = old_record(index)
    known = index.api_key("checkout", FIRST).wire()
    index.cache.remove("apikey", "shop/checkout")
    index.api.put(paths.api_key("shop", "checkout"), known)
    assert 86400 == await index.revocations.reconcile(f"system/k-{FIRST}")
    assert path in index.api.objects


async def test_the_record_of_a_whole_api_key_stays_until_that_one_is_gone(index: Index) -> None:
    path = old_record(index, "", apiKeyRef={"name": "checkout", "namespace": "shop"})
    index.api.put(paths.api_key("shop", "checkout"), index.api_key("checkout").wire())
    await index.revocations.reconcile("system/a-uid-of-checkout")
    assert path in index.api.objects
    del index.api.objects[paths.api_key("shop", "checkout")]
    await index.revocations.reconcile("system/a-uid-of-checkout")
    assert path not in index.api.objects


async def test_a_record_that_was_written_to_meanwhile_is_not_deleted(index: Index) -> None:
    path = old_record(index)

    def written(verb: str, _path: str) -> None:
        if verb == "delete":
            index.api.put(path, index.api.objects[path])

    index.api.before = written
    with pytest.raises(ApiError, match="409"):
        await index.revocations.reconcile(f"system/k-{FIRST}")
    assert path in index.api.objects


async def test_by_a_wrong_clock_no_record_goes(index: Index) -> None:
    path = old_record(index)
    index.api.skew = timedelta(minutes=1)
    assert 86400 == await index.revocations.reconcile(f"system/k-{FIRST}")
    assert path in index.api.objects


async def test_an_operator_of_other_namespaces_leaves_it_to_its_own() -> None:
    index = Index("warehouse")
    path = old_record(index)
    assert await index.revocations.reconcile(f"system/k-{FIRST}") is None
    assert path in index.api.objects


async def test_outside_the_system_namespace_nothing_is_pruned(index: Index) -> None:
    path = old_record(index)
    elsewhere = index.api.objects.pop(path)
    elsewhere["metadata"]["namespace"] = "shop"
    path = paths.revocation("shop", f"k-{FIRST}")
    index.cache.put("revocation", index.api.put(path, elsewhere))
    assert await index.revocations.reconcile(f"shop/k-{FIRST}") is None
    assert path in index.api.objects
