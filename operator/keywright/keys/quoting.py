"""Whether a text that somebody else wrote quotes a raw value, in whatever dress."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.keys.raw import RawKey

WINDOW = 12
"""So many characters of a secret part together are a quotation, even without the rest."""


def quotes(text: str, raw: RawKey) -> bool:
    """Whether a text holds a part of the secret of a raw value: plain, in hex, or in base64 of any alignment.

    URL, JSON and shell escapes leave the letters and digits of a value as they are.
    """
    lowered = text.lower()
    return any(part in text for part in _plain(raw)) or any(part in lowered for part in _hex(raw))


def _plain(raw: RawKey) -> Iterator[str]:
    secret = raw.value[len(raw.hint) + 1 :]
    yield from _windows(secret, WINDOW)
    for shift in range(3):
        # Without the characters at both ends, which depend on what stands around the value.
        encoded = base64.b64encode(b"." * shift + secret.encode()).decode()[4:-4]
        yield from _windows(encoded, WINDOW * 4 // 3)


def _hex(raw: RawKey) -> Iterator[str]:
    yield from _windows(raw.value[len(raw.hint) + 1 :].encode().hex(), 2 * WINDOW)


def _windows(text: str, size: int) -> Iterator[str]:
    return (text[start : start + size] for start in range(len(text) - size + 1))
