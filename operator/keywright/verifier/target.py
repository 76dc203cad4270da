"""The request target, read so that no two programs can read it in two ways.

What the verifier decides about must be what the application serves. Between them stand proxies and
frameworks that decode once or twice, merge slashes, resolve dots, cut at `;` or take `\\` for `/`. So a
path with anything in it that one of them may read differently is refused, before and after the one
decoding, and never normalised. No URL parser is asked either: what one takes for the authority or the
fragment, the application may not.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# Most paths: nothing to decode, nothing to refuse. Only speed depends on it.
_PLAIN = re.compile(rb"(?:/(?!\.\.?(?:/|\Z))[A-Za-z0-9_.~!$&'()*+,=:@-]+)*/?")

_SEGMENTS = r"//|/\.\.?(?:/|\Z)"  # empty inner segments, `.` and `..`
_ENCODED = r"%(?:2[fF]|5[cC]|3[bB]|00|25[0-9a-fA-F]{2})"  # / \ ; NUL, and whatever is encoded twice
_HALF = r"%(?![0-9a-fA-F]{2})"
_RAW = re.compile(rf"[\x00-\x20\x7f\\;]|{_SEGMENTS}|{_ENCODED}|{_HALF}".encode())
_DECODED = re.compile(rf"[\x00-\x1f\x7f-\x9f\\;]|{_SEGMENTS}|{_ENCODED}")
_QUERY = re.compile(rb"[\x00-\x20\x7f]")

_SCHEME = re.compile(rb"https?://")
_AUTHORITY = re.compile(rb"[A-Za-z0-9.\-_:\[\]]+")


class Target(NamedTuple):
    """What a request asks for."""

    path: str
    """Decoded once; begins with `/`."""
    query: str
    """As received, without the `?`; not decoded, byte by byte."""


def read(raw: bytes) -> Target | None:
    """Read a target in origin form, `/path?query`; None where it may be understood in two ways."""
    path, _, query = raw.partition(b"?")
    return read_parts(path, query)


def read_parts(path: bytes, query: bytes) -> Target | None:
    """Read a target that has been cut at its first `?` already."""
    if query and (b"#" in query or _QUERY.search(query)):
        return None
    if not path or not _PLAIN.fullmatch(path):
        text = _decoded(path)
        return None if text is None else Target(text, query.decode("latin-1"))
    return Target(path.decode("ascii"), query.decode("latin-1"))


def without_authority(url: bytes) -> bytes | None:
    """Return what follows the authority of `http://authority/path?query`; None where that is not its form.

    The authority is what stands before the first `/`, whatever is in it, and must then look like a host:
    with `Host: a?x=` a proxy writes `http://a?x=/secret`, whose path a parser takes for a query.
    """
    scheme = _SCHEME.match(url)
    if scheme is None:
        return None
    slash = url.find(b"/", scheme.end())
    if slash < 0 or not _AUTHORITY.fullmatch(url, scheme.end(), slash):
        return None
    return url[slash:]


def _decoded(path: bytes) -> str | None:
    if not path.startswith(b"/") or b"#" in path or _RAW.search(path):
        return None
    try:
        text = unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return None
    return None if _DECODED.search(text) else text
