"""Events: sent in the background, once, and never a reason to fail."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest_asyncio

from keywright.api.reasons import EventReason
from keywright.kube import events
from keywright.kube.errors import NotLeadingError
from keywright.kube.events import ObjectReference, Recorder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import pytest

    from keywright.kube.client import Client

SUBJECT = ObjectReference(kind="ApiKey", namespace="shop", name="checkout", uid="u1")


@pytest_asyncio.fixture
async def recorder(client: Client) -> AsyncIterator[Recorder]:
    recorder = Recorder(client)
    task = asyncio.create_task(recorder.run())
    yield recorder
    task.cancel()


def emit(recorder: Recorder, reason: EventReason = EventReason.MINTED, **more: Any) -> None:
    what = {"regarding": SUBJECT, "note": "key abc, revision 1", "action": "Mint", **more}
    recorder.emit(reason=reason, **what)


async def test_an_event_says_who_what_and_about_whom(recorder: Recorder, server: Any) -> None:
    server.answer(201)
    emit(recorder)
    await recorder.drain(60)
    asked = server.asked[0]
    assert asked.path == "/apis/events.k8s.io/v1/namespaces/shop/events"
    body = asked.body
    assert (body["type"], body["reason"], body["action"]) == ("Normal", "Minted", "Mint")
    assert body["reportingController"] == "keywright.dev/operator"
    assert body["regarding"] == {
        "apiVersion": "keywright.dev/v1alpha1",
        "kind": "ApiKey",
        "namespace": "shop",
        "name": "checkout",
        "uid": "u1",
    }
    assert body["metadata"]["name"].startswith("checkout.")


async def test_a_warning_is_one(recorder: Recorder, server: Any) -> None:
    server.answer(201)
    emit(recorder, EventReason.SECRET_CONFLICT)
    await recorder.drain(60)
    assert server.asked[0].body["type"] == "Warning"


async def test_with_a_key_the_name_follows_from_the_subject(client: Client, server: Any) -> None:
    names = []
    for _process in range(2):
        recorder = Recorder(client)
        task = asyncio.create_task(recorder.run())
        server.answer(201)
        emit(recorder, key="abc")
        await recorder.drain(60)
        task.cancel()
        names.append(server.asked[-1].body["metadata"]["name"])
    assert names[0] == names[1]


async def test_the_same_is_not_sent_twice_within_ten_minutes(
    recorder: Recorder, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.answer(201)
    server.answer(201)
    emit(recorder)
    emit(recorder)
    emit(recorder, note="key def, revision 2")
    await recorder.drain(60)
    assert len(server.asked) == 2
    monkeypatch.setattr(events, "REPEAT_AFTER", 0.0)
    server.answer(201)
    emit(recorder)
    await recorder.drain(60)
    assert len(server.asked) == 3


async def test_with_another_key_it_is_another_event_though_the_note_is_the_same(
    recorder: Recorder, server: Any
) -> None:
    for _ in range(2):
        server.answer(201)
    for key in ("a", "b", "a"):
        emit(recorder, key=key)
    await recorder.drain(60)
    assert len({asked.body["metadata"]["name"] for asked in server.asked}) == len(server.asked) == 2


async def test_a_refused_event_does_not_stop_the_next(recorder: Recorder, server: Any) -> None:
    for status in (403, 409, 201):
        server.answer(status)
    for number in range(3):
        emit(recorder, note=f"note {number}")
    await recorder.drain(60)
    assert len(server.asked) == 3


async def test_an_event_that_may_not_be_written_does_not_stop_the_next(
    recorder: Recorder, client: Client, server: Any
) -> None:
    def closed() -> None:
        raise NotLeadingError("no")

    client.fence = closed
    emit(recorder, note="one")
    await recorder.drain(60)
    client.fence = lambda: None
    server.answer(201)
    emit(recorder, note="two")
    await recorder.drain(60)
    assert ["two"] == [asked.body["note"] for asked in server.asked]


async def test_more_than_can_wait_is_dropped(client: Client) -> None:
    recorder = Recorder(client)
    for number in range(events.WAITING + 5):
        emit(recorder, note=f"note {number}")
    await recorder.drain(0.01)


async def test_a_long_note_is_cut_at_what_the_server_accepts(recorder: Recorder, server: Any) -> None:
    server.answer(201)
    emit(recorder, note="é" * 1000)
    await recorder.drain(60)
    assert len(server.asked[0].body["note"].encode()) == 1024
