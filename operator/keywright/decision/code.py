"""Every answer that is not "allowed": a code to match on, its HTTP status, and one sentence.

The sentence tells whoever holds the request what to do. It never says more than the code does: what is known
of a key is said only to those who hold it.
"""

from __future__ import annotations

from enum import StrEnum


class Code(StrEnum):
    """Why a request is denied, in the order in which it is found out."""

    NOT_READY = "not_ready"
    INVALID_PATH = "invalid_path"
    INVALID_REQUEST = "invalid_request"
    PROJECT_NOT_FOUND = "project_not_found"
    AMBIGUOUS_CREDENTIALS = "ambiguous_credentials"
    UNAUTHORIZED = "unauthorized"
    KEY_IN_QUERY = "key_in_query"
    INVALID_API_KEY = "invalid_api_key"
    WRONG_PROJECT = "wrong_project"
    REVOKED_API_KEY = "revoked_api_key"
    EXPIRED_API_KEY = "expired_api_key"
    SUPERSEDED_API_KEY = "superseded_api_key"
    DISABLED_API_KEY = "disabled_api_key"
    PROJECT_SUSPENDED = "project_suspended"
    NAMESPACE_NOT_ALLOWED = "namespace_not_allowed"
    IP_NOT_ALLOWED = "ip_not_allowed"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    RATE_LIMITED = "rate_limited"

    @property
    def status(self) -> int:
        """The HTTP status of the answer."""
        return _ANSWERS[self][0]

    @property
    def message(self) -> str:
        """What is wrong, and what to do instead."""
        return _ANSWERS[self][1]

    @property
    def challenge_error(self) -> str | None:
        """The `error` of the Bearer challenge (RFC 6750, 3.1).

        None with 401: a challenge without `error`, for no credential was presented. None otherwise: no
        challenge.
        """
        return _CHALLENGE_ERRORS.get(self)


_ANSWERS = {
    Code.NOT_READY: (503, "The verifier does not know the keys yet, or not any more: try again soon."),
    Code.INVALID_PATH: (
        400,
        (
            "The path can be read in two ways: send it without dot segments, empty segments, backslashes, "
            "semicolons, control characters and encoded ones of these."
        ),
    ),
    Code.INVALID_REQUEST: (400, "The request states a fact twice, or leaves out one that is needed."),
    Code.PROJECT_NOT_FOUND: (403, "There is no such Project."),
    Code.AMBIGUOUS_CREDENTIALS: (
        400,
        "The request has more than one credential: send one, as Authorization: Bearer or as X-Api-Key.",
    ),
    Code.UNAUTHORIZED: (401, "Send an API key, as Authorization: Bearer or as X-Api-Key."),
    Code.KEY_IN_QUERY: (
        400,
        (
            "The query holds a credential, and queries are logged: send the key as Authorization: Bearer or "
            "as X-Api-Key, and replace the one that was sent."
        ),
    ),
    Code.INVALID_API_KEY: (401, "This is no valid API key."),
    Code.WRONG_PROJECT: (403, "The API key is not one of this Project."),
    Code.REVOKED_API_KEY: (401, "The API key was revoked: use the present one."),
    Code.EXPIRED_API_KEY: (401, "The API key has expired: use the present one."),
    Code.SUPERSEDED_API_KEY: (401, "The API key was replaced and its overlap is over: use the present one."),
    Code.DISABLED_API_KEY: (403, "The API key is suspended."),
    Code.PROJECT_SUSPENDED: (403, "The Project is suspended."),
    Code.NAMESPACE_NOT_ALLOWED: (403, "The Project does not allow API keys of this one's namespace."),
    Code.IP_NOT_ALLOWED: (403, "The API key may not be used from this address."),
    Code.ORIGIN_NOT_ALLOWED: (403, "The API key may not be used from this origin."),
    Code.INSUFFICIENT_SCOPE: (403, "The API key does not have the scope that this needs."),
    Code.RATE_LIMITED: (429, "Too many requests: wait as long as Retry-After says."),
}

_CHALLENGE_ERRORS = {
    Code.AMBIGUOUS_CREDENTIALS: "invalid_request",
    Code.KEY_IN_QUERY: "invalid_request",
    Code.INVALID_API_KEY: "invalid_token",
    Code.REVOKED_API_KEY: "invalid_token",
    Code.EXPIRED_API_KEY: "invalid_token",
    Code.SUPERSEDED_API_KEY: "invalid_token",
    Code.INSUFFICIENT_SCOPE: "insufficient_scope",
}
