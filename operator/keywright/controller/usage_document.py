"""What a verifier's `/usage` says, read with distrust: a page is refused whole, a record skipped.

One page of 5,000 records takes some 5 MB at most. What has more values than that, in however few bytes, would
take many times its size once it is parsed, so they are counted first.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import NamedTuple

import orjson

from keywright.errors import KeywrightError

MAX_BYTES = 8 * 2**20
MAX_VALUES = 600_000
_MAX_BOOT = 128
_FIRST_YEAR = 2000
_KEY_ID = re.compile(r"[a-z0-9]{16}")


class DocumentError(KeywrightError):
    """What was received is no page of usage."""

    code = "malformed"


class Sighting(NamedTuple):
    """One key and when it was last used, as one verifier says."""

    api_key: str
    uid: str
    key_id: str
    last_used: datetime


class Page(NamedTuple):
    """A part of what a verifier knows. `following`: where the next one begins; None: this was the last.

    `boot` names the process, `mark` is what to ask it with the next time; `malformed` counts records that
    could not be read.
    """

    boot: str
    mark: int
    following: int | None
    sightings: list[Sighting]
    malformed: int


def read_page(body: bytes | bytearray) -> Page:
    """Read one page. Raises DocumentError."""
    if body.count(b",") + body.count(b"[") + body.count(b"{") > MAX_VALUES:
        raise DocumentError("a page of usage with more values than any has")
    try:
        document = orjson.loads(body)
    except ValueError:
        raise DocumentError("no JSON") from None
    match document:
        case {"boot": str(boot), "mark": int(mark), "next": int() | None as following, "keys": list(keys)}:
            pass
        case _:
            raise DocumentError("no page of usage")
    if not 0 < len(boot) <= _MAX_BOOT or isinstance(mark, bool) or isinstance(following, bool) or mark < 0:
        raise DocumentError("no page of usage")
    sightings = [one for one in map(_sighting, keys) if one is not None]
    return Page(boot, mark, following, sightings, malformed=len(keys) - len(sightings))


def _sighting(record: object) -> Sighting | None:
    match record:
        case {"apiKey": str(api_key), "uid": str(uid), "keyId": str(key_id), "lastUsedAt": str(text)}:
            last_used = _time(text)
        case _:
            return None
    if last_used is None or not _KEY_ID.fullmatch(key_id):
        return None
    return Sighting(api_key, uid, key_id, last_used)


def _time(text: str) -> datetime | None:
    """Read a time with a zone; of a year that no status may tell, there is none."""
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            return None
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return moment if moment.year >= _FIRST_YEAR else None
