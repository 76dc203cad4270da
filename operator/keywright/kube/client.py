"""The API server as JSON in, JSON out: the official client's transport without its models.

Its models cost half the throughput and turn each response into a tree of objects; its lower layer
gives us every credential there is. One call is one request: whoever calls decides about retries.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp

from keywright.kube import paths
from keywright.kube.credentials import ConfigurationError, Credentials, Identity, before_sending
from keywright.kube.errors import ApiError, NotLeadingError, TransportError, refusal

__all__ = ["ApiError", "Client", "ConfigurationError", "Identity", "Object", "TransportError"]

Object = dict[str, Any]
Observer = Callable[[str, str, str], None]
"""Told (verb, resource, status code or error code) of each request."""

TIMEOUT = aiohttp.ClientTimeout(total=30, sock_connect=10)
LIST_TIMEOUT = aiohttp.ClientTimeout(total=120, sock_connect=10)
PAGE = 500

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
        self, path: str, query: dict[str, str] | None = None, *, limit: int = PAGE
    ) -> AsyncIterator[Object]:
        """Read the metadata of a collection, page by page, all as of the moment of the first.

        ApiError 410 where it took so long that the next page is gone: start over. TransportError for what is
        no list: taken for an empty one, everything would seem to have vanished.
        """
        query = {**(query or {}), "limit": str(limit)}
        token = ""
        while True:
            more = {**query, "continue": token} if token else query
            page = await self._request("list", "GET", path, query=more, accept=_METADATA_LIST)
            match page:
                case {"metadata": {"resourceVersion": str()} as metadata}:
                    page["items"] = page.get("items") or []  # an empty list may come as null
                    yield page
                case _:
                    raise TransportError("no list", verb="list", resource=paths.resource_of(path))
            token = metadata.get("continue") or ""
            if not token:
                return

    async def watch(self, path: str, query: dict[str, str], *, silence: float) -> AsyncIterator[Object]:
        """Follow a collection from `resourceVersion` on, metadata only: events as {type, object}.

        Ends when the server ends it. Raises ApiError for an ERROR among the events (410: list again), and
        TransportError for a line that is no event, and once nothing was heard for `silence` seconds.
        """
        resource = paths.resource_of(path)
        headers = {"Accept": _METADATA, "Content-Type": "application/json"}
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=silence)
        query = {**query, "watch": "true"}
        code = TransportError.code
        response: Any = None
        try:
            response = await self._send("GET", path, query, headers, None, timeout)
            code = str(response.status)
            if response.status >= 400:
                received = await response.read()
                raise refusal(
                    "watch", resource, response.status, received, response.headers.get("Retry-After")
                )
            async for line in response.response.content:
                yield _event(resource, line)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError, ConfigurationError) as error:
            problem = type(error).__name__
            raise TransportError("watch broken", verb="watch", resource=resource, problem=problem) from None
        finally:
            if response is not None:
                response.response.close()
            self._observe("watch", resource, code)

    def unfenced(self) -> Client:
        """Return one on the same connections for the requests that the fence itself rests on."""
        return Client(self._credentials, self._observe)

    async def refresh(self) -> bool:
        """Read the credentials anew; return whether they are others now."""
        return await self._credentials.refresh(self._credentials.generation)

    async def identity(self) -> Identity:
        """Return server and credentials as they are now."""
        return await self._credentials.identity()

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
        headers = {"Accept": accept or "application/json", "Content-Type": content_type or "application/json"}
        timeout = LIST_TIMEOUT if verb == "list" else TIMEOUT
        code = TransportError.code
        try:
            response = await self._send(method, path, query, headers, body, timeout)
            received: bytes = await response.read()
            code = str(response.status)
            if response.status >= 400:
                raise refusal(verb, resource, response.status, received, response.headers.get("Retry-After"))
            parsed: Object = json.loads(received)
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
        body: Object | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own: it tells connecting from reading
    ) -> Any:
        """Send a request, after a 401 once more with new credentials; the body is yet to be read."""
        generation = self._credentials.generation
        response = await self._open(method, path, query, headers, body, timeout)
        # A 401 was not acted upon, so sending the same again is safe.
        if response.status == _UNAUTHORIZED and await self._credentials.refresh(generation):
            response.response.release()
            response = await self._open(method, path, query, headers, body, timeout)
        self._note(response.status, response.headers.get("Date"))  # its time is that of the headers
        return response

    async def _open(
        self,
        method: str,
        path: str,
        query: dict[str, str] | None,
        headers: dict[str, str],
        body: Object | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own: it tells connecting from reading
    ) -> Any:
        transport = self._credentials.transport
        method, url, headers, _, _ = await transport.param_serialize(
            method,
            path,
            query_params=list((query or {}).items()),
            header_params=dict(headers),
            auth_settings=["BearerToken"],  # without it requests are anonymous
        )
        passing = before_sending.set(_freely if method == "GET" else self.fence)
        try:
            # The body goes here as a dict: param_serialize would walk through it once more.
            return await transport.call_api(method, url, headers, body, _request_timeout=timeout)
        finally:
            before_sending.reset(passing)

    def _note(self, status: int, date: str | None) -> None:
        if status < 500 and status != _UNAUTHORIZED:
            self.last_contact = time.monotonic()
        try:
            self.skew = datetime.now(UTC) - parsedate_to_datetime(date) if date else self.skew
        except (TypeError, ValueError):  # a proxy's idea of a date
            return


def _event(resource: str, line: bytes) -> Object:
    """Read one line of a watch: an object's name and version are there. ValueError where it is no event."""
    event: Object = json.loads(line)
    match event:
        case {"type": "ERROR", "object": {"code": int(code)} as status}:
            raise refusal("watch", resource, code, json.dumps(status).encode(), None)
        case {"type": "BOOKMARK", "object": {"metadata": {"resourceVersion": str()}}}:
            return event
        case {"type": str(), "object": {"metadata": {"name": str(), "resourceVersion": str()}}}:
            return event
    raise ValueError("no event")


def _freely() -> None:
    """Let a request through."""
