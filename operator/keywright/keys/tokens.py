"""Rotation by hand: the tokens in two annotations, each of which acts once.

Both annotations share one list of handled tokens, so that Git may bring an old one back, or move it from
one annotation to the other, without rotating anything.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, NamedTuple

from keywright.api.apikey import GenerationState

if TYPE_CHECKING:
    from collections.abc import Iterable

    from keywright.api.apikey import ApiKey, Generation

ROTATE = "keywright.dev/rotate"
REGENERATE = "keywright.dev/regenerate"
MAX_HANDLED = 16
MAX_PER_GENERATION = 2

_TOKEN = re.compile(r"[A-Za-z0-9._:+-]{1,64}")


class Asked(NamedTuple):
    """What is asked for by hand and not yet done."""

    tokens: tuple[str, ...] = ()
    regenerate: bool = False


def present(api_key: ApiKey) -> tuple[str, ...]:
    """Return the well-formed tokens that stand in the annotations now."""
    tokens = (_token(api_key, ROTATE), _token(api_key, REGENERATE))
    return tuple(dict.fromkeys(token for token in tokens if token))


def malformed(api_key: ApiKey) -> dict[str, str]:
    """Return the annotations whose text does not have the form of a token, each with the digest of its text.

    The text itself is not for showing: somebody may have pasted anything.
    """
    annotations = api_key.metadata.annotations
    return {
        name: hashlib.sha256(annotations[name].encode()).hexdigest()
        for name in (ROTATE, REGENERATE)
        if name in annotations and not _token(api_key, name)
    }


def asked(api_key: ApiKey) -> Asked:
    """Return the tokens that nobody has handled, those of Pending generations included.

    A Pending generation keeps a request alive whose annotation was removed after it was seen.
    """
    handled = frozenset(api_key.status.handled_tokens)
    waiting = [
        generation
        for generation in api_key.status.keys
        if generation.state is GenerationState.PENDING and not handled.issuperset(generation.tokens or ())
    ]
    tokens = [*present(api_key), *(token for generation in waiting for token in generation.tokens or ())]
    due = tuple(dict.fromkeys(token for token in tokens if token not in handled))
    regenerate = _token(api_key, REGENERATE)
    again = any(generation.regenerate for generation in waiting)
    return Asked(due, regenerate=again or (regenerate is not None and regenerate not in handled))


def handle(api_key: ApiKey, done: Iterable[Generation]) -> tuple[str, ...]:
    """Return the list of handled tokens once these generations have satisfied theirs.

    Of more than 16 the oldest is forgotten, but never one that still stands in an annotation: it
    would act again.
    """
    new = [token for generation in done for token in generation.tokens or ()]
    return _remember(api_key, new)


def handle_present(api_key: ApiKey) -> tuple[str, ...]:
    """Return the list of handled tokens once those that stand in the annotations count as handled."""
    return _remember(api_key, present(api_key))


def _remember(api_key: ApiKey, new: Iterable[str]) -> tuple[str, ...]:
    tokens = list(dict.fromkeys([*api_key.status.handled_tokens, *new]))
    standing = frozenset(present(api_key))
    for token in [token for token in tokens if token not in standing][: max(0, len(tokens) - MAX_HANDLED)]:
        tokens.remove(token)
    return tuple(tokens)


def _token(api_key: ApiKey, annotation: str) -> str | None:
    text = api_key.metadata.annotations.get(annotation)
    return text if text is not None and _TOKEN.fullmatch(text) else None
