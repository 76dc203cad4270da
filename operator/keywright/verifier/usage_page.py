"""/usage: what the operator reads to know when keys were last used.

It names keys and says from where they are used, so it is for holders of a token alone. The token is read
from its file for each request: a Secret that is mounted changes by a swap of links, and a scrape is rare.
"""

from __future__ import annotations

import re
import time
import uuid
from datetime import UTC, datetime
from hmac import compare_digest
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

import orjson

from keywright.verifier.asgi import raw_target
from keywright.verifier.ops import text

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from keywright.verifier.answers import Answer
    from keywright.verifier.asgi import Scope
    from keywright.verifier.usage import Record, Usage

MOST = 5_000
"""Records of one page."""
_NUMBER = re.compile(r"[0-9]{1,15}")


class UsagePage:
    """Answers one page of the records at a time."""

    def __init__(self, usage: Usage, token_file: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._usage = usage
        self._token_file = token_file
        self._clock = clock
        self._boot = str(uuid.uuid4())

    def __call__(self, scope: Scope) -> Answer:
        """Answer with the records that were used since a mark, from a place on."""
        if not self._known(scope):
            return text(401, b"send the token of --usage-token-file, as Authorization: Bearer\n")
        asked = _numbers(raw_target(scope).partition(b"?")[2])
        if asked is None:
            return text(400, b"ask /usage?since=<mark>&after=<next>, both of an earlier answer\n")
        mark = self._usage.mark() if not asked["after"] else 0
        page = self._usage.page(since=asked["since"], after=asked["after"], most=MOST)
        now = self._clock()
        document = {
            "boot": self._boot,
            "mark": mark,
            "next": page.following,
            "keys": [_told(record, now) for record in page.records],
        }
        return text(200, orjson.dumps(document), "application/json")

    def _known(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            token = self._token_file.read_bytes().strip()
        except OSError:
            return False
        return bool(token) and len(sent) == 1 and compare_digest(sent[0], b"Bearer " + token)


def _numbers(query: bytes) -> dict[str, int] | None:
    numbers = {"since": 0, "after": 0}
    for name, value in parse_qsl(query.decode("latin-1"), keep_blank_values=True):
        if name not in numbers or not _NUMBER.fullmatch(value):
            return None
        numbers[name] = int(value)
    return numbers


def _told(record: Record, now: float) -> dict[str, Any]:
    return {
        "apiKey": record.api_key,
        "uid": record.uid,
        "project": record.project,
        "keyId": record.key_id,
        "requests": record.requests,
        "denied": record.denied or {},
        "lastUsedAt": _stamp(record.last),
        "networks": record.networks,
        "moreNetworks": record.more_networks,
        "minutes": [list(minute) for minute in record.minutes(now)],
    }


def _stamp(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
