"""Which credential a request presents: exactly one, in a header, or none.

A request with two of them is refused, whichever is good: the service behind may read the other one. A query
is never looked at for a key, but a request with one in it is refused, because queries are logged.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_plus

from keywright.decision.code import Code
from keywright.keys.raw import MalformedKey, parse

if TYPE_CHECKING:
    from keywright.decision.request import Request

LONGEST = 128
"""No key is longer (106), so nothing longer is hashed."""

_BLANKS = b" \t"
_BEARER = re.compile(rb"[ \t]*bearer(?:[ \t]|$)", re.IGNORECASE)
_BEARER_IN_A_LIST = re.compile(rb",[ \t]*bearer(?:[ \t]|$)", re.IGNORECASE)
_PARAMETERS = frozenset({"api_key", "apikey", "key", "access_token"})
_SEPARATORS = re.compile("[&;]")
_KEY_FORM = re.compile(r"[a-z0-9]_(?:dev|prod|client)_[a-z0-9]{16}_[0-9A-Za-z]{49}(?![0-9A-Za-z])")


def presented(request: Request) -> bytes | Code:
    """Return the one credential of a request, or the code of what is wrong with them."""
    _, _, _, query, authorization, api_keys, _, _ = request
    if not api_keys and not query and len(authorization) == 1:  # as most come; only speed depends on it
        value = authorization[0]
        if value[:7] == b"Bearer " and b"," not in value:
            return value[7:].strip(_BLANKS)
    if len(authorization) > 1 or len(api_keys) > 1:
        return Code.AMBIGUOUS_CREDENTIALS
    bearer = _bearer(authorization[0]) if authorization else None
    if not api_keys:
        credential = bearer
    elif bearer is None:
        credential = api_keys[0].strip(_BLANKS)
    else:
        return Code.AMBIGUOUS_CREDENTIALS
    if credential is not None and b"," in credential:
        return Code.AMBIGUOUS_CREDENTIALS
    if query and _in_query(query):
        return Code.KEY_IN_QUERY
    return Code.UNAUTHORIZED if credential is None else credential


def _bearer(value: bytes) -> bytes | None:
    """Return the credential of an Authorization header, which may be empty; None: of another scheme.

    One that is joined to another scheme by a comma is returned with it.
    """
    match = _BEARER.match(value)
    if match is not None:
        return value[match.end() :].strip(_BLANKS)
    return value if _BEARER_IN_A_LIST.search(value) is not None else None


def well_formed(credential: bytes) -> bool:
    """Say whether a credential has the form of a key and a checksum that matches."""
    try:
        parse(credential.decode("ascii"))
    except (MalformedKey, UnicodeDecodeError):
        return False
    return True


def _in_query(query: str) -> bool:
    for parameter in _SEPARATORS.split(query):
        name, _, value = parameter.partition("=")
        if unquote_plus(name).lower() in _PARAMETERS or _KEY_FORM.search(unquote_plus(value or name)):
            return True
    return False
