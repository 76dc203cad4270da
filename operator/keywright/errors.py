"""The one base of Keywright's own exceptions: a code to match on, and context that never holds a value.

A message may reach a log, an Event or a person's terminal, so it is built from the code and from
names (of fields, objects, verbs) only. Never pass what a user or the API server sent.
"""

from __future__ import annotations


class KeywrightError(Exception):
    """An error with a stable code and context that is safe to show.

    `code` is snake_case and stable; `context` holds names and numbers, never data.
    """

    code = "error"

    def __init__(self, message: str, **context: object) -> None:
        super().__init__(message)
        self.message = message
        self.context = context

    def __str__(self) -> str:
        if not self.context:
            return self.message
        details = ", ".join(f"{name}={value}" for name, value in self.context.items())
        return f"{self.message} ({details})"
