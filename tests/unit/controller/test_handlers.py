"""What kopf is given: events only, settings that stay, and nothing that it could write back."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

import kopf
from keywright.controller import handlers
from keywright.kube.credentials import Identity

# As kopf calls them: with more than they take.
prepare: Any = handlers.prepare
log_in: Any = handlers.log_in

IDENTITY = Identity(
    server="https://api:6443",
    verify=True,
    ca_file="/ca",
    certificate_file=None,
    key_file=None,
    proxy=None,
    authorization="bearer abc",
)


class Fake:
    clusterwide = True

    def __init__(self) -> None:
        self.received: list[tuple[str, str | None, dict[str, Any]]] = []
        self.problems: list[str] = []

    def receive(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        self.received.append((kind, event_type, obj))

    async def kinds_missing(self) -> list[str]:
        return self.problems

    async def identity(self) -> Identity:
        return IDENTITY


def test_only_events_of_the_three_kinds_are_asked_for() -> None:
    registry = handlers.registry
    watched = {
        handler.selector.any_name for handler in registry._watching.get_all_handlers() if handler.selector
    }
    assert watched == {"projects", "apikeys", "revocations"}
    for others in (registry._changing, registry._spawning, registry._indexing, registry._webhooks):
        assert list(others.get_all_handlers()) == []


async def test_an_event_is_passed_on_and_returns_nothing() -> None:
    fake = Fake()
    event = {"type": None, "object": {"metadata": {"name": "a"}}}
    assert await handlers.observe(event=event, memo=fake, param="apikey", logger=None) is None  # type: ignore[func-returns-value]
    assert fake.received == [("apikey", None, {"metadata": {"name": "a"}})]


def test_the_delays_have_no_end_and_start_anew_each_time() -> None:
    patience = handlers.Patience()
    for _round in range(2):
        assert list(itertools.islice(patience, 7)) == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert not hasattr(patience, "__len__")


def test_nothing_is_compared_with_what_was_before() -> None:
    storage = handlers.NoDiffBase()
    assert storage.build(body={"spec": {"a": 1}}) == {}
    assert storage.fetch(body={}) is None


@pytest.mark.parametrize("clusterwide", [True, False])
async def test_scanning_is_on_exactly_where_everything_is_served(*, clusterwide: bool) -> None:
    fake, settings = Fake(), kopf.OperatorSettings()
    fake.clusterwide = clusterwide
    await prepare(settings=settings, memo=fake)
    assert settings.scanning.disabled is not clusterwide
    assert settings.posting.enabled is False
    assert isinstance(settings.networking.error_backoffs, handlers.Patience)


async def test_missing_kinds_are_waited_for() -> None:
    fake = Fake()
    fake.problems = ["install them"]
    with pytest.raises(kopf.TemporaryError, match="install them") as caught:
        await prepare(settings=kopf.OperatorSettings(), memo=fake)
    assert caught.value.delay == 5


async def test_kopf_gets_credentials_and_never_a_session() -> None:
    info = await log_in(memo=Fake())
    assert isinstance(info, kopf.ConnectionInfo)
    assert (info.server, info.ca_path, info.scheme, info.token) == (
        "https://api:6443",
        "/ca",
        "bearer",
        "abc",
    )


async def test_the_same_credentials_are_another_answer_each_time() -> None:
    assert await log_in(memo=Fake()) != await log_in(memo=Fake())
