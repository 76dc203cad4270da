"""The process: what an event does, and what it says of its own health."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

import pytest
import pytest_asyncio

from keywright.controller.app import App
from keywright.controller.metrics import Metrics
from keywright.controller.ports import Options, Realm


class Recording:
    """A reconciler that notes what it observes."""

    def __init__(self, *_parts: object, **_more: object) -> None:
        self.observed: list[tuple[str, str | None, str]] = []
        self.error: Exception | None = None

    def observe(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        if self.error:
            raise self.error
        self.observed.append((kind, event_type, obj["metadata"]["name"]))

    def wake_all(self) -> None:
        raise NotImplementedError

    def stand_by(self) -> None:
        raise NotImplementedError

    async def reconcile(self, key: str) -> float | None:
        raise NotImplementedError(key)


class Reachable:
    skew: timedelta | None = None
    last_contact: float | None = None


def obj(version: int, generation: int = 1, **metadata: Any) -> dict[str, Any]:
    own = {"namespace": "shop", "name": "checkout", "uid": "u1"}
    return {"metadata": {**own, "resourceVersion": str(version), "generation": generation, **metadata}}


@pytest_asyncio.fixture
async def app() -> App:
    return make(Realm())


def make(realm: Realm) -> App:
    return App(Options(realm=realm), Reachable(), Metrics(), Recording)  # type: ignore[arg-type]


def seen(app: App) -> list[tuple[str, str | None, str]]:
    reconciler = app._reconciler
    assert isinstance(reconciler, Recording)
    return reconciler.observed


async def test_the_cache_knows_an_event_before_the_reconciler_does(app: App) -> None:
    app.receive("apikey", None, obj(5))
    assert app.cache.version("apikey", "shop/checkout") == ("u1", 5)
    app.receive("apikey", "DELETED", obj(6))
    assert app.cache.get("apikey", "shop/checkout") is None
    assert seen(app) == [("apikey", None, "checkout"), ("apikey", "DELETED", "checkout")]


async def test_one_that_a_namesake_replaced_without_an_event_is_told_of_as_deleted_first(app: App) -> None:
    app.receive("apikey", None, obj(5))
    app.receive("apikey", None, obj(8, uid="u2"))
    app.receive("apikey", "MODIFIED", obj(9, uid="u2"))
    app.receive("apikey", "MODIFIED", obj(6))  # late, and of the first
    app.receive("apikey", "DELETED", obj(12, uid="u3"))
    told = [event_type for _, event_type, _ in seen(app)]
    assert [None, "DELETED", None, "MODIFIED", "MODIFIED", "DELETED", "DELETED"] == told


async def test_an_error_in_the_reconciler_stays_there(app: App) -> None:
    app._reconciler.error = ValueError("secret")  # type: ignore[attr-defined]
    app.receive("apikey", None, obj(5))
    assert app.cache.keys("apikey") == ["shop/checkout"]


async def test_deletions_and_revocations_are_urgent(app: App) -> None:
    app._leadership.acting.set()
    app.receive("apikey", None, obj(5))
    assert app.queue.depth() == 0
    app.receive("apikey", "MODIFIED", obj(6, 2, deletionTimestamp="2026-01-01T00:00:00Z"))
    app.receive("revocation", "ADDED", obj(7))
    assert list(app.queue._urgent) == ["apikey:shop/checkout", "revocation:shop/checkout"]


async def test_a_standby_queues_nothing_and_still_takes_everything_in(app: App) -> None:
    app.receive("apikey", None, obj(5, deletionTimestamp="2026-01-01T00:00:00Z"))
    app.receive("revocation", "ADDED", obj(7))
    assert app.queue.depth() == 0
    assert [kind for kind, _, _ in seen(app)] == ["apikey", "revocation"]
    assert app.cache.keys("apikey") == ["shop/checkout"]


async def test_only_a_new_spec_ends_a_backoff(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    forgotten: list[str] = []
    monkeypatch.setattr(app.queue, "forget", forgotten.append)
    app.receive("apikey", None, obj(5))
    app.receive("apikey", "MODIFIED", obj(6))
    app.receive("apikey", "MODIFIED", obj(7, generation=2))
    assert len(forgotten) == 2


async def test_in_the_system_namespace_only_revocations_count() -> None:
    app = make(Realm(namespaces=("shop",), system_namespace="system"))
    for kind in ("apikey", "project", "revocation"):
        app.receive(kind, "ADDED", obj(5, namespace="system"))
    app.receive("apikey", "ADDED", obj(5))
    assert [kind for kind, _, _ in seen(app)] == ["revocation", "apikey"]


async def test_ready_says_what_is_missing(app: App) -> None:
    assert app.ready() == [
        "not everything that exists is known yet",
        "the API server has not answered for 60 s",
    ]
    app._all_known.set()
    app._client.last_contact = time.monotonic()
    assert app.ready() == []
    app._client.skew = timedelta(seconds=-45)
    assert app.ready() == ["the clock differs from the API server's by -45 s: set it"]
    app._client.skew = timedelta(seconds=29)
    assert app.ready() == []


async def test_alive_until_a_task_ends_or_hangs(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    assert app.alive() == []
    monkeypatch.setattr(app.queue, "stuck", lambda: ["apikey:a/b"])
    assert app.alive() == ["no end in sight for apikey:a/b"]


@pytest.mark.parametrize(
    ("realm", "watched"),
    [
        (Realm(), ()),
        (Realm(namespaces=("a",)), ("a", "keywright-system")),
        (Realm(namespaces=("a", "s"), system_namespace="s"), ("a", "s")),
    ],
)
def test_the_system_namespace_belongs_to_what_is_watched(realm: Realm, watched: tuple[str, ...]) -> None:
    assert realm.watched == watched


async def test_where_secrets_are_watched_no_more_the_api_keys_at_rest_are_looked_at(app: App) -> None:
    app.receive("apikey", None, obj(5))
    app.receive("apikey", None, obj(6, namespace="shop-2"))
    app.receive("project", None, obj(7))
    app._leadership.acting.set()
    app._look_for_secrets("shop")
    assert list(app.queue._last) == ["apikey:shop/checkout"]
    app._look_for_secrets(None)
    assert list(app.queue._last) == ["apikey:shop/checkout", "apikey:shop-2/checkout"]
