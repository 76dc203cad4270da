"""The server: its bounds, its two ports, and how it ends."""

from __future__ import annotations

import asyncio
import json
import signal

import pytest

from harness.wire import Echo, Reply, ask, connected, get, quiet_ops, running
from keywright.verifier import server as server_module


def code_of(reply: Reply) -> str:
    code: str = json.loads(reply.body)["error"]["code"]
    return code


async def test_requests_on_one_connection_are_answered_one_after_the_other() -> None:
    async with running(Echo()) as at, connected(at.port) as wire:
        for target in ("/a", "/b?c"):
            await wire.send(get(target))
            assert (await wire.reply()).body == target.encode()


async def test_the_target_arrives_as_it_was_sent() -> None:
    async with running(Echo()) as at:
        for target in ("/a%2Fb/../c", "/a#b", "http://other/a?b", "//a", "/%zz", "/a?b#c"):
            assert (await ask(at.port, get(target))).body == target.encode()


async def test_many_requests_at_once_are_answered_in_order_though_some_take_longer() -> None:
    echo = Echo()
    targets = [f"/{'later' if number % 7 == 3 else 'now'}/{number}" for number in range(2000)]
    async with running(echo) as at, connected(at.port) as wire:
        await wire.send(b"".join(map(get, targets)))
        first = [await wire.reply() for _ in range(3)]
        echo.release.set()
        rest = [await wire.reply() for _ in targets[3:]]
    assert targets == [reply.body.decode() for reply in (*first, *rest)]


async def test_who_does_not_read_the_answers_is_not_answered_without_end() -> None:
    request = get("/" + "a" * 20_000)
    async with running(Echo()) as at, connected(at.port) as wire:
        sending = asyncio.create_task(wire.send(request * 2000))
        await asyncio.sleep(0.05)
        (connection,) = at.server._listeners["traffic"].server_state.connections
        async with asyncio.timeout(10):
            while not connection.transport.get_write_buffer_size():  # noqa: ASYNC110  nobody tells
                await asyncio.sleep(0)
        await asyncio.sleep(0.5)
        assert connection.transport.get_write_buffer_size() < 1_000_000
        for _ in range(2000):
            assert (await wire.reply()).status == 200
        await sending


async def test_a_head_request_is_answered_without_a_body() -> None:
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(get("/abc", method="HEAD") + get("/d"))
        assert (await wire.reply(to_head=True)).headers["content-length"] == "4"
        assert (await wire.reply()).body == b"/d"


@pytest.mark.parametrize("target", ["/now", "/later"])
async def test_a_body_is_ignored_whatever_its_size(target: str) -> None:
    echo = Echo()
    echo.release.set()
    async with running(echo) as at, connected(at.port) as wire:
        await wire.send(get(target, "Content-Length: 1000000", method="POST") + b"x" * 1_000_000)
        assert (await wire.reply()).body == target.encode()
        await wire.send(get(target, "Transfer-Encoding: chunked", method="PUT") + b"3\r\nabc\r\n0\r\n\r\n")
        assert (await wire.reply()).body == target.encode()
        await wire.send(get("/next"))
        assert (await wire.reply()).body == b"/next"


async def test_who_asks_to_close_or_speaks_http_1_0_is_closed_after_the_answer() -> None:
    async with running(Echo()) as at:
        for request in (get("/a", "Connection: close"), b"GET /a HTTP/1.0\r\n\r\n"):
            async with connected(at.port) as wire:
                await wire.send(request)
                reply = await wire.reply()
                assert (b"/a", "close") == (reply.body, reply.headers["connection"])
                assert await wire.rest() == b""


async def test_a_request_to_change_the_protocol_is_answered_as_any_other_and_ends_the_connection() -> None:
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(get("/a", "Connection: Upgrade", "Upgrade: websocket") + b"\x81\x05hello")
        assert (await wire.reply()).body == b"/a"
        assert await wire.rest() == b""


@pytest.mark.parametrize(
    "request_",
    [
        b"\x16\x03\x01\x02\x00\x01",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"get / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nna me: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nname\x00: x\r\n\r\n",
        "GET /é HTTP/1.1\r\nHost: x\r\n\r\n".encode(),
    ],
)
async def test_what_is_no_http_is_refused_and_ends_the_connection(request_: bytes) -> None:
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(request_)
        reply = await wire.reply()
        assert (400, "invalid_request") == (reply.status, code_of(reply))
        assert await wire.rest() == b""


async def test_nonsense_behind_a_request_that_waits_is_not_taken_for_its_answer() -> None:
    echo = Echo()
    async with running(echo) as at, connected(at.port) as wire:
        await wire.send(get("/later") + b"nonsense\r\n\r\n")
        assert await wire.rest() == b""
        echo.release.set()


@pytest.mark.parametrize("step", [100_000, 1000])
async def test_a_head_of_more_than_64_kib_is_refused(step: int) -> None:
    data = get("/a", "X: " + "a" * 65_900)
    async with running(Echo()) as at, connected(at.port) as wire:
        for start in range(0, len(data), step):
            await wire.send(data[start : start + step])
            await asyncio.sleep(0)
        reply = await wire.reply()
        assert (431, "headers_too_large") == (reply.status, code_of(reply))


async def test_a_head_without_an_end_is_refused() -> None:
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(b"GET /" + b"a" * 70_000)
        assert (await wire.reply()).status == 431
        assert await wire.rest() == b""


async def test_a_head_of_60_kib_is_read() -> None:
    async with running(Echo()) as at:
        assert (await ask(at.port, get("/a", "X: " + "a" * 60_000))).status == 200


@pytest.mark.parametrize(
    "start", [b"", b"GET / HT", b"\r\n", get("/a", "Content-Length: 10") + b"12345", get("/a") + b"GET"]
)
async def test_a_message_that_does_not_end_ends_the_connection(
    start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_MOST_SECONDS_A_MESSAGE", 0.05)
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(start)
        await wire.rest()


async def test_a_connection_between_requests_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "_MOST_SECONDS_A_MESSAGE", 0.05)
    async with running(Echo()) as at, connected(at.port) as wire:
        await wire.send(get("/a"))
        await wire.reply()
        await asyncio.sleep(1.2)
        await wire.send(get("/b"))
        assert (await wire.reply()).body == b"/b"


async def test_signals_stay_the_callers() -> None:
    before = (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))
    async with running(Echo()) as at:
        await ask(at.port, get("/a"))
        assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


async def test_closing_answers_what_has_arrived_and_accepts_nothing_more() -> None:
    echo = Echo()
    async with running(echo) as at, connected(at.port) as wire, connected(at.port) as idle:
        await wire.send(get("/later"))
        await asyncio.sleep(0.05)
        closing = asyncio.create_task(at.server.close())
        assert await idle.rest() == b""
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await asyncio.open_connection("127.0.0.1", at.port)
        assert (await ask(at.ops_port, get("/healthz"))).status == 200
        echo.release.set()
        reply = await wire.reply()
        assert (b"/later", "close") == (reply.body, reply.headers["connection"])
        await closing


async def test_a_port_that_is_taken_is_an_error() -> None:
    async with running(Echo()) as at:
        other = server_module.Server(traffic=Echo(), ops=quiet_ops())  # type: ignore[arg-type]
        with pytest.raises(OSError, match=r"[Aa]ddress already in use"):
            other.start("127.0.0.1", port=0, ops_port=at.port)


async def test_a_listener_that_ended_by_itself_is_told_of() -> None:
    async with running(Echo()) as at:
        assert at.server.problems() == []
        at.server._listeners["ops"].should_exit = True
        await asyncio.wait(at.server._serving[1:])
        assert at.server.problems() == ["the listener for ops has ended"]
