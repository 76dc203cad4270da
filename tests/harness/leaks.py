"""Every raw value that a test run ever saw in a Secret, and the search for them where none may be."""

from __future__ import annotations

import base64
import json
import threading
from typing import TYPE_CHECKING, NamedTuple

import requests

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.api import Api, Object

WINDOW = 12
"""So many characters of a secret part together are a leak, even without the rest."""


class _Form(NamedTuple):
    """How a value may be written.

    To find thousands of values in many megabytes, a text is looked at only every `step` characters: whatever
    is written there in a row of `length + step - 1` characters is met by one of those looks.
    """

    length: int
    step: int


_SPEAKING = ("ApiKey", "Project", "Revocation", "Event")

_PLAIN = _Form(7, WINDOW - 6)
_BASE64 = _Form(8, 9)
_HEX = _Form(16, 64)


class Leaks:
    """Watches a cluster from the side: remembers the values in Secrets, and whatever is said elsewhere."""

    def __init__(self, api: Api) -> None:
        self.values: set[str] = set()
        self.told: dict[str, list[str]] = {kind: [] for kind in ("Secret", *_SPEAKING)}
        """Every version of every object as JSON with its managedFields; of Secrets the metadata."""
        self._api = api
        self._ended = threading.Event()
        for kind in self.told:
            threading.Thread(target=self._watch, args=(kind,), daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def found_in(self, text: str) -> set[str]:
        """Return the ids of the keys of which a text holds the value, in plain, hex or base64, or a part."""
        return found(self.values, text)

    def _watch(self, kind: str) -> None:
        query = {"fieldSelector": "type=keywright.dev/api-key"} if kind == "Secret" else {}
        while not self._ended.is_set():
            try:
                for event in self._api.another().watch(kind, **query):
                    obj = event["object"]
                    if kind == "Secret":
                        self._harvest(obj)
                    self.told[kind].append(json.dumps(obj["metadata"] if kind == "Secret" else obj))
                    if self._ended.is_set():
                        return
            except (requests.RequestException, KeyError):
                self._ended.wait(0.5)

    def _harvest(self, secret: Object) -> None:
        for encoded in (secret.get("data") or {}).values():
            text = base64.b64decode(encoded).decode(errors="replace")
            if len(text) > 66 and "\n" not in text and text.count("_") >= 3:
                self.values.add(text)


def found(values: set[str], text: str) -> set[str]:
    """Return the ids of those keys of which a text holds the value or a part of it."""
    suspects: set[str] = set()
    for form, written in ((_PLAIN, _plain), (_BASE64, _base64), (_HEX, _hex)):
        pieces = {
            piece[at : at + form.length]: value
            for value in values
            for piece in written(value)
            for at in range(len(piece) - form.length + 1)
        }
        looks = (text[at : at + form.length] for at in range(0, len(text), form.step))
        suspects.update(pieces[look] for look in looks if look in pieces)
    return {value.split("_")[-2] for value in suspects if any(part in text for part in _parts(value))}


def _parts(value: str) -> Iterator[str]:
    """Yield every piece of a value that is a leak wherever it is found."""
    for written, length in ((_plain, WINDOW), (_base64, 16), (_hex, 80)):
        for piece in written(value):
            yield from (piece[at : at + length] for at in range(len(piece) - length + 1))


def _plain(value: str) -> tuple[str, ...]:
    return (value.rpartition("_")[2],)


def _base64(value: str) -> tuple[str, ...]:
    """Return the secret part as it stands in the base64 of any text around it, in either alphabet."""
    secret = _plain(value)[0].encode()
    aligned = [base64.b64encode(b"x" * shift + secret).decode()[4:-4] for shift in range(3)]
    return (*aligned, *(piece.replace("+", "-").replace("/", "_") for piece in aligned))


def _hex(value: str) -> tuple[str, ...]:
    secret = _plain(value)[0].encode().hex()
    return (secret, secret.upper())
