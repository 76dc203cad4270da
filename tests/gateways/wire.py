"""Requests as an attacker can write them, byte for byte: no client library would send most of them."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, NamedTuple

Headers = tuple[tuple[str, str], ...]

_SECONDS = 20.0


class Sent(NamedTuple):
    """What a client writes. `host` is the Host header; all else stands in `headers`, in this order."""

    target: str
    method: str = "GET"
    headers: Headers = ()
    host: str = "api.example.com"


class Answered(NamedTuple):
    """What came back."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        """The body, as what it should be."""
        return json.loads(self.body)


def send(port: int, request: Sent) -> Answered:
    """Send one request over a connection of its own, from 127.0.0.1."""
    lines = [f"{request.method} {request.target} HTTP/1.1", f"Host: {request.host}", "Connection: close"]
    names = {name.lower() for name, _ in request.headers}
    if "connection" in names:  # the case brings its own
        lines.pop()
    lines += [f"{name}: {value}" for name, value in request.headers]
    with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1"))
        response = http.client.HTTPResponse(connection, method=request.method)
        response.begin()
        return Answered(response.status, response.headers, response.read())
