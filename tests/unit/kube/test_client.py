"""The client: what goes over the wire, and what comes of the answers."""

from __future__ import annotations

import asyncio
import base64
import json
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

import aiohttp
import pytest
import yaml

from keywright.kube import client as client_module
from keywright.kube import paths
from keywright.kube.client import ApiError, Client, ConfigurationError, TransportError
from keywright.kube.errors import NotLeadingError

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "kw_prod_aaaaaaaaaaaaaaaa_hunter2"


def status(code: int, reason: str, **more: Any) -> dict[str, Any]:
    return {"kind": "Status", "code": code, "reason": reason, "message": f"quoted {SECRET}", **more}


async def test_an_object_is_read_with_the_bearer_token(client: Client, server: Any) -> None:
    server.answer(body={"metadata": {"name": "checkout"}})
    assert await client.get(paths.api_key("shop", "checkout")) == {"metadata": {"name": "checkout"}}
    asked = server.asked[0]
    assert (asked.method, asked.path) == (
        "GET",
        "/apis/keywright.dev/v1alpha1/namespaces/shop/apikeys/checkout",
    )
    assert asked.headers["Authorization"] == "Bearer first-token"


async def test_a_body_goes_out_as_json_once(client: Client, server: Any) -> None:
    body = {"data": {"apiKey": "Zm9v"}, "nested": {"list": [1, None, "é"]}}
    server.answer(201, body)
    await client.create(paths.secrets("shop"), body)
    server.answer(200, body)
    await client.replace(paths.secret("shop", "s"), body)
    assert [(one.method, one.body) for one in server.asked] == [("POST", body), ("PUT", body)]


async def test_a_merge_patch_is_named_as_one(client: Client, server: Any) -> None:
    server.answer()
    await client.merge_patch(paths.api_key("shop", "checkout"), {"metadata": {"finalizers": []}})
    assert server.asked[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_a_deletion_carries_its_preconditions(client: Client, server: Any) -> None:
    server.answer()
    await client.delete(paths.secret("shop", "s"), uid="u1", resource_version="7", propagation="Background")
    assert server.asked[0].body == {
        "apiVersion": "v1",
        "kind": "DeleteOptions",
        "preconditions": {"uid": "u1", "resourceVersion": "7"},
        "propagationPolicy": "Background",
    }


async def test_a_list_is_read_to_its_last_page(client: Client, server: Any) -> None:
    server.answer(body={"metadata": {"resourceVersion": "9", "continue": "more"}, "items": [1, 2]})
    server.answer(body={"metadata": {"resourceVersion": "9"}, "items": [3]})
    pages = [page async for page in client.pages(paths.api_keys(), {"labelSelector": "a=b"}, limit=2)]
    assert [(page["items"], page["metadata"]["resourceVersion"]) for page in pages] == [
        ([1, 2], "9"),
        ([3], "9"),
    ]
    assert [one.query.get("continue") for one in server.asked] == [None, "more"]
    assert {one.query["labelSelector"] for one in server.asked} == {"a=b"}
    assert "PartialObjectMetadataList" in server.asked[1].headers["Accept"]


async def test_an_empty_list_is_a_list(client: Client, server: Any) -> None:
    server.answer(body={"metadata": {"resourceVersion": "9"}, "items": None})
    assert [page["items"] async for page in client.pages(paths.api_keys())] == [[]]


async def test_a_refusal_carries_what_a_machine_may_read(client: Client, server: Any) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": SECRET}, {"reason": f"not a word {SECRET}"}]
    server.answer(403, status(403, "Forbidden", details={"causes": causes, "retryAfterSeconds": 3}))
    with pytest.raises(ApiError) as caught:
        await client.create(paths.secrets("shop"), {"data": SECRET})
    error = caught.value
    assert (error.status, error.reason, error.causes) == (403, "Forbidden", ("NamespaceTerminating",))
    assert (error.verb, error.resource, error.retry_after) == ("create", "secrets", 3)
    assert error.explanation == f"quoted {SECRET}"


async def test_nothing_that_the_server_said_shows(client: Client, server: Any) -> None:
    server.answer(422, status(422, "Invalid"))
    with pytest.raises(ApiError) as caught:
        await client.create(paths.secrets("shop"), {"data": SECRET})
    shown = str(caught.value) + repr(caught.value) + "".join(traceback.format_exception(caught.value))
    assert "hunter2" not in shown
    assert str(caught.value) == (
        "the API server refused (verb=create, resource=secrets, status=422, reason=Invalid)"
    )


@pytest.mark.parametrize(("code", "body"), [(502, b"<html>bad gateway</html>"), (500, b""), (404, b"[1]")])
async def test_an_error_without_a_status_object_is_one_all_the_same(
    client: Client, server: Any, code: int, body: bytes
) -> None:
    server.answer(code, body)
    with pytest.raises(ApiError) as caught:
        await client.get(paths.namespace("shop"))
    assert (caught.value.status, caught.value.reason, caught.value.explanation) == (code, "", None)


async def test_retry_after_is_read_from_the_header(client: Client, server: Any) -> None:
    server.answer(429, status(429, "TooManyRequests"), Retry_After="2")
    with pytest.raises(ApiError) as caught:
        await client.get(paths.namespace("shop"))
    assert caught.value.retry_after == 2


@pytest.mark.parametrize("body", [b"", b"<html>", b'{"half": '])
async def test_an_answer_that_is_no_json_is_no_answer(client: Client, server: Any, body: bytes) -> None:
    server.answer(200, body)
    with pytest.raises(TransportError):
        await client.get(paths.namespace("shop"))


async def test_a_server_that_is_not_there_is_a_transport_error(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: x\n"
        "clusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "users: [{name: u, user: {token: t}}]\n"
        "contexts: [{name: x, context: {cluster: c, user: u}}]\n",
    )
    client = await Client.connect(str(path))
    with pytest.raises(TransportError):
        await client.get("/version")
    assert client.last_contact is None
    await client.close()


async def test_a_server_that_does_not_answer_is_a_transport_error(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "TIMEOUT", aiohttp.ClientTimeout(total=0.0001))
    with pytest.raises(TransportError):
        await client.get("/version")


async def test_each_request_is_counted(client: Client, server: Any, counted: list[Any]) -> None:
    server.answer()
    await client.replace(paths.api_key_status("shop", "checkout"), {})
    server.answer(409, status(409, "Conflict"))
    with pytest.raises(ApiError):
        await client.replace(paths.api_key_status("shop", "checkout"), {})
    server.answer(200, b"")
    with pytest.raises(TransportError):
        await anext(client.pages(paths.secrets("shop")))
    assert counted == [
        ("update", "apikeys/status", "200"),
        ("update", "apikeys/status", "409"),
        ("list", "secrets", "transport"),
    ]


async def test_a_fence_stops_writes_before_they_are_sent_and_nothing_else(
    client: Client, server: Any, counted: list[Any]
) -> None:
    def closed() -> None:
        raise NotLeadingError("no")

    client.fence = closed
    path = paths.secret("shop", "checkout")
    for write in (
        client.create(paths.secrets("shop"), {}),
        client.replace(path, {}),
        client.merge_patch(path, {}),
        client.delete(path),
    ):
        with pytest.raises(NotLeadingError):
            await write
    assert server.asked == []
    assert {code for _, _, code in counted} == {"not_leading"}
    server.answer(body={})
    await client.get(path)
    server.answer(body={})
    await client.unfenced().replace(paths.lease("system", "it"), {})
    assert ["GET", "PUT"] == [asked.method for asked in server.asked]


async def test_a_fence_that_closes_while_it_connects_stops_the_write(
    client: Client, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect = aiohttp.TCPConnector.connect
    closed = False

    async def slowly(*arguments: Any, **named: Any) -> Any:
        nonlocal closed
        connection = await connect(*arguments, **named)
        closed = True
        return connection

    def fence() -> None:
        if closed:
            raise NotLeadingError("no")

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", slowly)
    client.fence = fence
    with pytest.raises(NotLeadingError):
        await client.create(paths.secrets("shop"), {"data": {}})
    assert server.asked == []


async def test_a_fence_that_closes_at_the_last_moment_stops_the_write(client: Client, server: Any) -> None:
    checks: list[int] = []

    def fence() -> None:
        checks.append(1)
        if len(checks) > 1:
            raise NotLeadingError("no")

    client.fence = fence
    with pytest.raises((NotLeadingError, TransportError)):
        await client.create(paths.secrets("shop"), {"data": {}})
    assert server.asked == []


async def test_a_fence_that_closes_during_a_401_stops_the_second_try(
    client: Client, server: Any, kubeconfig: Path
) -> None:
    def fence() -> None:
        if server.asked:
            raise NotLeadingError("no")

    client.fence = fence
    server.answer(401, {})
    (kubeconfig.parent / "token").write_text("second-token")
    with pytest.raises(NotLeadingError):
        await client.replace(paths.secret("shop", "checkout"), {})
    assert len(server.asked) == 1


async def test_the_difference_of_the_clocks_is_known_after_an_answer(client: Client, server: Any) -> None:
    assert client.skew is None
    server.answer(Date=format_datetime(datetime.now(UTC) - timedelta(minutes=5), usegmt=True))
    await client.get("/version")
    assert client.skew is not None
    assert abs(client.skew - timedelta(minutes=5)) < timedelta(minutes=1)
    server.answer(Date="yesterday")
    await client.get("/version")
    assert abs(client.skew - timedelta(minutes=5)) < timedelta(minutes=1)


async def test_a_401_has_the_credentials_read_anew_and_the_request_sent_once_more(
    client: Client, server: Any, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("second-token")
    server.answer(401, status(401, "Unauthorized"))
    server.answer(body={"ok": True})
    assert await client.get("/version") == {"ok": True}
    tokens = [one.headers["Authorization"] for one in server.asked]
    assert tokens == ["Bearer first-token", "Bearer second-token"]


async def test_a_401_with_the_same_credentials_is_an_error(client: Client, server: Any) -> None:
    server.answer(401, status(401, "Unauthorized"))
    with pytest.raises(ApiError) as caught:
        await client.get("/version")
    assert caught.value.status == 401
    assert len(server.asked) == 1


@pytest.mark.parametrize("content", [None, "", "[]", "just text", "{a: b}", "{unclosed"])
async def test_a_kubeconfig_that_is_none_is_named(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=str(path)):
        await Client.connect(str(path))


async def test_credentials_that_do_not_help_are_not_read_at_every_401(
    client: Client, server: Any, tmp_path: Path
) -> None:
    for code in (401, 401, 401):
        server.answer(code, status(code, "Unauthorized"))
    for token in ("first-token", "second-token"):
        (tmp_path / "token").write_text(token)
        with pytest.raises(ApiError):
            await client.get("/version")
    assert len(server.asked) == 2


async def test_many_watches_leave_a_connection_for_a_request(client: Client, server: Any) -> None:
    end = asyncio.Event()
    for _ in range(40):
        server.answer(body=end)
    server.answer(body={"ok": True})

    async def watch() -> None:
        async for _ in client.watch(paths.secrets("shop"), {}, silence=30):
            pass

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        for _ in range(40):
            group.create_task(watch())
        while len(server.asked) < 40:  # noqa: ASYNC110  the server knows no events
            await asyncio.sleep(0.01)
        assert await client.get("/version") == {"ok": True}
        end.set()


async def test_how_long_a_body_takes_is_no_difference_of_the_clocks(client: Client, server: Any) -> None:
    end = asyncio.Event()
    server.answer(body=end)
    request = asyncio.create_task(client.get("/version"))
    async with asyncio.timeout(10):
        while client.skew is None:  # noqa: ASYNC110  nor does the client
            await asyncio.sleep(0.005)
    assert not request.done(), "the body has yet to come"
    end.set()
    await asyncio.gather(request, return_exceptions=True)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"metadata": []}', b'{"metadata": {}, "items": []}'])
async def test_an_answer_that_is_no_list_is_not_an_empty_one(
    client: Client, server: Any, body: bytes
) -> None:
    server.answer(200, body)
    with pytest.raises(TransportError):
        await anext(client.pages(paths.api_keys()))


async def test_an_event_longer_than_any_buffer_is_one_event(client: Client, server: Any) -> None:
    big = {"metadata": {"name": "a", "resourceVersion": "7", "annotations": {"x": "y" * 3_000_000}}}
    small = {"metadata": {"name": "b", "resourceVersion": "8"}}
    lines = [json.dumps({"type": "ADDED", "object": one}).encode() for one in (big, small)]
    server.answer(body=b"\n".join(lines) + b"\n")
    events = [event async for event in client.watch(paths.api_keys(), {}, silence=30, whole=True)]
    assert ["a", "b"] == [event["object"]["metadata"]["name"] for event in events]
    assert server.asked[0].headers["Accept"] == "application/json"


def edit(kubeconfig: Path, **cluster: str) -> None:
    config = yaml.safe_load(kubeconfig.read_text())
    config["clusters"][0]["cluster"] |= cluster
    kubeconfig.write_text(yaml.safe_dump(config))


async def test_a_proxy_of_the_environment_is_used_unless_it_is_told_not_to(
    kubeconfig: Path, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", server.url)
    edit(kubeconfig, server="http://far-away.example:80")
    through = await Client.connect(str(kubeconfig))
    server.answer(body={"ok": True})
    assert await through.get("/version") == {"ok": True}
    await through.close()
    monkeypatch.setenv("no_proxy", "far-away.example")
    past = await Client.connect(str(kubeconfig))
    with pytest.raises(TransportError):
        await past.get("/version")
    await past.close()


async def test_a_redirect_is_no_answer_and_takes_the_token_nowhere(client: Client, server: Any) -> None:
    server.answer(302, b"", Location=f"{server.url}/elsewhere")
    with pytest.raises(TransportError):
        await client.get("/version")
    assert len(server.asked) == 1


async def test_a_certificate_that_cannot_be_read_is_named(kubeconfig: Path) -> None:
    authority = base64.b64encode(b"no certificate").decode()
    edit(kubeconfig, **{"server": "https://127.0.0.1:1", "certificate-authority-data": authority})
    with pytest.raises(ConfigurationError, match="certificates"):
        await Client.connect(str(kubeconfig))
