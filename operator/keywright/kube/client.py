"""The API server as JSON in, JSON out. One call is one request: whoever calls decides about retries.

The official client's models would cost half the throughput and turn each response into a tree of objects.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any

import aiohttp
import orjson

from keywright.kube import paths
from keywright.kube.credentials import ConfigurationError, Credentials
from keywright.kube.errors import ApiError, NotLeadingError, TransportError, refusal
from keywright.kube.transport import before_sending

__all__ = ["ApiError", "Client", "ConfigurationError", "Object", "TransportError"]

Object = dict[str, Any]
Observer = Callable[[str, str, str], None]
"""Told (verb, resource, status code or error code) of each request."""

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)
PAGE = 500

_JSON = "application/json"
_METADATA_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
_METADATA = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_MERGE_PATCH = "application/merge-patch+json"
_UNAUTHORIZED = 401


class Client:
    """Requests to one API server; create it with `connect`."""

    def __init__(self, credentials: Credentials, observe: Observer | None = None) -> None:
        self._credentials = credentials
        self._observe = observe or (lambda *_: None)
        self.fence: Callable[[], None] = _freely
        """Called right before a write is sent; raises NotLeadingError where it must not be."""
        self.skew: timedelta | None = None
        """Local clock minus the server's, from the last answer's Date header (whole seconds)."""
        self.last_contact: float | None = None
        """When (time.monotonic) the server last answered with anything but 401 or 5xx."""

    @classmethod
    async def connect(cls, kubeconfig: str | None, *, observe: Observer | None = None) -> Client:
        """Read the credentials; the server itself is first contacted by the first request.

        Raises ConfigurationError where there are none.
        """
        return cls(await Credentials.load(kubeconfig), observe)

    async def get(self, path: str, **query: str) -> Object:
        """Read one object."""
        return await self._request("get", "GET", path, query=query)

    async def create(self, path: str, body: Object) -> Object:
        """Create an object in a collection; return it as stored."""
        return await self._request("create", "POST", path, body=body)

    async def replace(self, path: str, body: Object) -> Object:
        """Replace an object, or its status; the body's metadata.resourceVersion and uid are preconditions."""
        return await self._request("update", "PUT", path, body=body)

    async def merge_patch(self, path: str, body: Object) -> Object:
        """Patch an object; the body's metadata.resourceVersion is a precondition (uid not on /status)."""
        return await self._request("patch", "PATCH", path, body=body, content_type=_MERGE_PATCH)

    async def delete(
        self,
        path: str,
        *,
        uid: str | None = None,
        resource_version: str | None = None,
        propagation: str | None = None,
    ) -> Object:
        """Delete an object, on the preconditions given; return it, or a Status."""
        preconditions = {"uid": uid, "resourceVersion": resource_version}
        preconditions = {name: value for name, value in preconditions.items() if value is not None}
        body: Object = {"apiVersion": "v1", "kind": "DeleteOptions"}
        if preconditions:
            body["preconditions"] = preconditions
        if propagation is not None:
            body["propagationPolicy"] = propagation
        return await self._request("delete", "DELETE", path, body=body)

    async def pages(
        self, path: str, query: dict[str, str] | None = None, *, limit: int = PAGE, whole: bool = False
    ) -> AsyncIterator[Object]:
        """Read a collection, page by page, all as of the moment of the first: metadata only, unless `whole`.

        ApiError 410 where it took so long that the next page is gone: start over. TransportError for what is
        no list: taken for an empty one, everything would seem to have vanished.
        """
        query = {**(query or {}), "limit": str(limit)}
        accept = _JSON if whole else _METADATA_LIST
        token = ""
        while True:
            more = {**query, "continue": token} if token else query
            page = await self._request("list", "GET", path, query=more, accept=accept)
            match page:
                case {"metadata": {"resourceVersion": str()} as metadata}:
                    page["items"] = page.get("items") or []  # an empty list may come as null
                    yield page
                case _:
                    raise TransportError("no list", verb="list", resource=paths.resource_of(path))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def watch(
        self, path: str, query: dict[str, str], *, silence: float, whole: bool = False
    ) -> AsyncIterator[Object]:
        """Follow a collection from `resourceVersion` on: events as {type, object}; metadata unless `whole`.

        Ends when the server ends it. Raises ApiError for an ERROR among the events (410: list again), and
        TransportError for a line that is no event, and once nothing was heard for `silence` seconds.
        """
        resource = paths.resource_of(path)
        headers = {"Accept": _JSON if whole else _METADATA}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        query = {**query, "watch": "true"}
        code = TransportError.code
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._send("GET", path, query, headers, None, timeout)
            code = str(response.status)
            if response.status >= 400:
                received = await response.read()
                raise refusal(
                    "watch", resource, response.status, received, response.headers.get("Retry-After")
                )
            async for line in _lines(response.content):
                yield _event(resource, line)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ConfigurationError) as error:
            problem = type(error).__name__
            raise TransportError("watch broken", verb="watch", resource=resource, problem=problem) from None
        finally:
            if response is not None:
                response.close()
            self._observe("watch", resource, code)

    def unfenced(self) -> Client:
        """Return one on the same connections for the requests that the fence itself rests on."""
        return Client(self._credentials, self._observe)

    @property
    def server(self) -> str:
        """The URL of the API server."""
        return self._credentials.server

    async def close(self) -> None:
        """Close every connection."""
        await self._credentials.close()

    async def _request(
        self,
        verb: str,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: Object | None = None,
        content_type: str | None = None,
        accept: str | None = None,
    ) -> Object:
        resource = paths.resource_of(path)
        headers = {"Accept": accept or _JSON}
        if body is not None:
            headers["Content-Type"] = content_type or _JSON
        timeout = LIST_TIMEOUT if verb == "list" else TIMEOUT
        code = TransportError.code
        try:
            sent = None if body is None else orjson.dumps(body)
            response = await self._send(method, path, query, headers, sent, timeout)
            received = await response.read()
            code = str(response.status)
            if response.status >= 400:
                raise refusal(verb, resource, response.status, received, response.headers.get("Retry-After"))
            parsed: Object = orjson.loads(received)
        except NotLeadingError as error:
            code = error.code
            raise
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ConfigurationError) as error:
            code = TransportError.code
            # Without the cause: its text may quote the URL or what was received.
            problem = type(error).__name__
            raise TransportError("no answer", verb=verb, resource=resource, problem=problem) from None
        finally:
            self._observe(verb, resource, code)
        return parsed

    async def _send(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        headers: dict[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own: it tells connecting from reading
    ) -> aiohttp.ClientResponse:
        """Send a request, after a 401 once more with new credentials; the body is yet to be read."""
        generation = self._credentials.generation
        response = await self._open(method, path, query, headers, body, timeout)
        # A 401 was not acted upon, so sending the same again is safe.
        if response.status == _UNAUTHORIZED and await self._credentials.refresh(generation):
            response.release()
            response = await self._open(method, path, query, headers, body, timeout)
        self._note(response.status, response.headers.get("Date"))  # its time is that of the headers
        return response

    async def _open(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        headers: dict[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own: it tells connecting from reading
    ) -> aiohttp.ClientResponse:
        authorization = await self._credentials.authorization()
        if authorization is not None:
            headers = {**headers, "Authorization": authorization}
        passing = before_sending.set(_freely if method == "GET" else self.fence)
        try:
            return await self._credentials.transport.send(method, path, query, headers, body, timeout)
        finally:
            before_sending.reset(passing)

    def _note(self, status: int, date: str | None) -> None:
        if status < 500 and status != _UNAUTHORIZED:
            self.last_contact = time.monotonic()
        try:
            self.skew = datetime.now(UTC) - _time(date) if date else self.skew
        except (TypeError, ValueError):  # a proxy's idea of a date
            return


_time = lru_cache(maxsize=4)(parsedate_to_datetime)  # many answers come in one second


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[bytes]:
    """Read the lines of a stream, many at a time where they come so."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line
    if rest:
        yield rest


def _event(resource: str, line: bytes) -> Object:
    """Read one line of a watch: an object's name and version are there. ValueError where it is no event."""
    event: Object = orjson.loads(line)
    match event:
        case {"type": "ERROR", "object": {"code": int(code)} as status}:
            raise refusal("watch", resource, code, orjson.dumps(status), None)
        case {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str()}}}:
            return event
        case {"type": str(), "object": {"metadata": {"name": str(), "resourceVersion": str()}}}:
            return event
    raise ValueError("no event")


def _freely() -> None:
    """Let a request through."""
