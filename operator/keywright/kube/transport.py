"""How a request leaves: aiohttp, set up as a configuration of the official client says.

That client's own way costs as much CPU again as the request itself: it walks through parameters, headers and
body several times and wraps every answer. What it is really needed for, finding and renewing credentials, is
in `keywright.kube.credentials`.
"""

from __future__ import annotations

import ssl
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit
from urllib.request import getproxies, proxy_bypass

import aiohttp

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USER_AGENT = "keywright"  # also the manager in managedFields of what it writes

_LINE = 2**21  # bytes; one event of a watch is one line, and an object may have 1.5 MB

before_sending: ContextVar[Callable[[], None]] = ContextVar("before_sending")
"""What a request of this task has to pass at the very last; it may raise instead."""


class Transport:
    """The connections to one server with one TLS context. Create it in a running loop.

    Raises OSError (ssl.SSLError is one) where a certificate or its key cannot be read.
    """

    def __init__(self, configuration: Any) -> None:
        self._server: str = configuration.host.rstrip("/")
        self._server_name: str | None = configuration.tls_server_name
        self._proxy = configuration.proxy or _proxy_of_environment(self._server)
        self._session = aiohttp.ClientSession(
            # Without a limit: each watch holds a connection, and the workers bound the requests beside them.
            connector=aiohttp.TCPConnector(limit=0, ssl=_tls(configuration)),
            headers={"User-Agent": USER_AGENT},
            read_bufsize=_LINE,
            trust_env=False,  # else ~/.netrc is read, in a thread, at every request
            trace_configs=[_checking()],
        )

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp's own: it tells connecting from reading
    ) -> aiohttp.ClientResponse:
        """Send one request; the body of its answer is yet to be read. Raises as aiohttp does."""
        target = f"{self._server}{path}?{urlencode(query)}" if query else f"{self._server}{path}"
        return await self._session.request(
            method,
            target,
            data=body,
            headers=headers,
            timeout=timeout,
            proxy=self._proxy,
            server_hostname=self._server_name,
            allow_redirects=False,  # a credential goes to nobody else
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


def _tls(configuration: Any) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=configuration.ssl_ca_cert, cadata=configuration.ca_cert_data)
    if configuration.cert_file:
        context.load_cert_chain(configuration.cert_file, keyfile=configuration.key_file)
    if configuration.disable_strict_ssl_verification:
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not configuration.verify_ssl:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _proxy_of_environment(server: str) -> str | None:
    """Return what HTTPS_PROXY, HTTP_PROXY and NO_PROXY say of a server, as kubectl takes them."""
    parts = urlsplit(server)
    if parts.hostname is None or proxy_bypass(parts.hostname):
        return None
    return getproxies().get(parts.scheme)


def _checking() -> aiohttp.TraceConfig:
    """Call `before_sending` once a connection is there, of each attempt: aiohttp repeats a PUT by itself.

    Both signals come just before what they are named after. The second one comes in a later turn of the loop,
    and only then anything leaves, the headers included; an error there is one of the connection.
    """

    async def check(*_: object) -> None:
        before_sending.get()()

    trace = aiohttp.TraceConfig()
    trace.on_request_headers_sent.append(check)
    trace.on_request_chunk_sent.append(check)
    return trace
