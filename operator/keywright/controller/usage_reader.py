"""Asks a verifier for one page of usage, and believes it neither to be quick, nor small, nor where it says.

No redirect and no proxy, which would carry the token elsewhere; no cookies; no compression, whose size nobody
knows beforehand.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import aiohttp

from keywright.controller.usage_document import MAX_BYTES, DocumentError, read_page
from keywright.errors import KeywrightError
from keywright.kube.transport import USER_AGENT

if TYPE_CHECKING:
    from keywright.controller.usage_document import Page

TIMEOUT = aiohttp.ClientTimeout(total=10, sock_connect=5)
_OK, _UNAUTHORIZED, _FORBIDDEN, _NOT_FOUND = 200, 401, 403, 404
_REMEDIES = {
    _UNAUTHORIZED: "it does not take the token: give both the same --usage-token-file",
    _NOT_FOUND: "it has no /usage there: name its operations port, and start it with --usage-token-file",
}


class ReadingError(KeywrightError):
    """A verifier's usage could not be read; the code says how that is counted."""

    def __init__(self, code: str, message: str, **context: object) -> None:
        super().__init__(message, **context)
        self.code = code


class Reader:
    """The connections to all verifiers. Create it in a running loop."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Accept-Encoding": "identity"},
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            trust_env=False,
            timeout=TIMEOUT,
        )

    async def page(self, target: str, token: str, *, since: int, after: int) -> Page:
        """Read one page of what changed since a mark, from a place on. Raises ReadingError."""
        try:
            async with self._session.get(
                f"{target}/usage?since={since}&after={after}",
                headers={"Authorization": f"Bearer {token}"},
                allow_redirects=False,
            ) as response:
                if response.status != _OK:
                    raise _refused(response.status)
                return read_page(await _whole(response.content))
        except DocumentError as error:
            raise ReadingError("malformed", error.message) from None
        except TimeoutError:
            raise ReadingError("unreachable", "no whole answer in time") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # Without the cause: its text may quote what was received.
            raise ReadingError("unreachable", "no whole answer", problem=type(error).__name__) from None

    async def close(self) -> None:
        """Close every connection."""
        await self._session.close()


async def _whole(content: aiohttp.StreamReader) -> bytearray:
    received = bytearray()
    async for chunk in content.iter_any():
        received += chunk
        if len(received) > MAX_BYTES:
            raise ReadingError("too_large", f"a page of more than {MAX_BYTES} bytes")
    return received


def _refused(status: int) -> ReadingError:
    code = "unauthorized" if status in {_UNAUTHORIZED, _FORBIDDEN} else "refused"
    return ReadingError(code, _REMEDIES.get(status, "it answers with another status than 200"), status=status)
