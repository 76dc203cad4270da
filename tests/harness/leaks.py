"""Every raw value that a test run ever saw in a Secret, and the search for them where none may be."""

from __future__ import annotations

import base64
import threading
from typing import TYPE_CHECKING

import requests

if TYPE_CHECKING:
    from harness.api import Api

WINDOW = 12
"""So many characters of a secret part together are a leak, even without the rest."""


class Leaks:
    """Watches the Secrets of a cluster from the side and remembers their values."""

    def __init__(self, api: Api) -> None:
        self.values: set[str] = set()
        self._api = api
        self._ended = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        """Watch no longer."""
        self._ended.set()

    def found_in(self, text: str) -> set[str]:
        """Return the ids of the keys of which a text holds the value, in plain, hex or base64, or a part."""
        return {value.split("_")[-2] for value in self.values if any(form in text for form in _forms(value))}

    def _watch(self) -> None:
        while not self._ended.is_set():
            try:
                for event in self._api.watch("Secret", fieldSelector="type=keywright.dev/api-key"):
                    for encoded in (event["object"].get("data") or {}).values():
                        text = base64.b64decode(encoded).decode(errors="replace")
                        if len(text) > 66 and "\n" not in text and text.count("_") >= 3:
                            self.values.add(text)
                    if self._ended.is_set():
                        return
            except (requests.RequestException, KeyError):
                self._ended.wait(0.5)


def _forms(value: str) -> set[str]:
    secret = value.rsplit("_", 1)[1]
    windows = {secret[i : i + WINDOW] for i in range(len(secret) - WINDOW + 1)}
    encoded = {base64.b64encode(b"x" * shift + value.encode()).decode()[4:-4] for shift in range(3)}
    return (
        windows
        | {part[i : i + 16] for part in encoded for i in range(24, len(part) - 16)}
        | {value.encode().hex()}
    )
