"""One table for all gateways: what a client sends, what it gets, and what the application sees of it.

`<good>` stands for a raw key. Whatever an attacker claims holds the word evil, so that it can be looked for
in everything that reaches the application.
"""

from __future__ import annotations

from typing import NamedTuple

from gateways.wire import Headers, Sent

GOOD = (("Authorization", "Bearer <good>"),)
WRITER = (("Authorization", "Bearer <writer>"),)
PREFLIGHT = (("Origin", "https://a.example"), ("Access-Control-Request-Method", "GET"))

ENVOY, NGINX, INGRESS, CADDY = "envoy", "nginx", "ingress-nginx", "caddy"
NGINXES = frozenset({NGINX, INGRESS})
ALL = NGINXES | {ENVOY, CADDY}


class Case(NamedTuple):
    """One row; its name is the rest of a sentence that begins with "a request"."""

    name: str
    request: Sent
    status: int
    code: str | None = None
    """Of the verifier's denial; None: allowed."""
    identity: str | None = None
    """Whose key it is that the application is told of, when allowed."""
    refused_by: frozenset[str] = frozenset()
    """Gateways behind which it gets 400 instead, mostly from the gateway itself."""
    target: dict[str, str] = {}  # noqa: RUF012  never changed
    """What the application gets where a gateway writes the target in another way."""


def _allowed(name: str, request: Sent, identity: str | None = "good", **more: object) -> Case:
    return Case(name, request, 200, identity=identity, **more)  # type: ignore[arg-type]


def _get(target: str, *headers: tuple[str, str], key: Headers = GOOD, **more: str) -> Sent:
    return Sent(target, headers=(*key, *headers), **more)


def _refused(name: str, target: str, refused_by: frozenset[str] = frozenset()) -> Case:
    return Case(name, _get(target), 400, "invalid_path", refused_by=refused_by)


def _claims(name: str, *headers: tuple[str, str], refused_by: frozenset[str] = frozenset()) -> list[Case]:
    """Rows for headers by which a client would like to be somebody else, or somewhere else."""
    return [
        _allowed(f"that is allowed and claims {name}", _get("/v1/items", *headers), refused_by=refused_by),
        Case(
            f"that is denied and claims {name}",
            _get("/admin/keys", *headers),
            403,
            "insufficient_scope",
            refused_by=refused_by,
        ),
        Case(
            f"without a key that claims {name}",
            _get("/v1/items", *headers, key=()),
            401,
            "unauthorized",
            refused_by=refused_by,
        ),
    ]


CREDENTIALS = [
    _allowed("with a good bearer key", _get("/v1/items?page=2")),
    _allowed("with a good X-Api-Key", _get("/v1/items", key=(("X-Api-Key", "<good>"),))),
    _allowed(
        "with a good X-Api-Key beside Basic",
        _get("/v1/items", ("Authorization", "Basic ZXZpbA=="), key=(("X-Api-Key", "<good>"),)),
    ),
    _allowed("by HEAD where GET is a route", Sent("/v1/items", "HEAD", GOOD)),
    _allowed("by POST", Sent("/v1/items", "POST", (*WRITER, ("Content-Length", "0"))), "writer"),
    _allowed("by DELETE", Sent("/v1/items/7", "DELETE", WRITER), "writer"),
    _allowed("to a public route without a key", Sent("/healthz"), None),
    _allowed(
        "to a public route with a revoked key", _get("/healthz", key=(("X-Api-Key", "<revoked>"),)), None
    ),
    Case("without a key", Sent("/v1/items"), 401, "unauthorized"),
    Case(
        "with another scheme", _get("/v1/items", key=(("Authorization", "Basic YTpi"),)), 401, "unauthorized"
    ),
    Case(
        "with a key that is none",
        _get("/v1/items", key=(("X-Api-Key", "kw_prod_nothing"),)),
        401,
        "invalid_api_key",
    ),
    Case(
        "with a key of another Project",
        _get("/v1/items", key=(("X-Api-Key", "<foreign>"),)),
        403,
        "wrong_project",
    ),
    Case("with a revoked key", _get("/v1/items", key=(("X-Api-Key", "<revoked>"),)), 401, "revoked_api_key"),
    Case("with an expired key", _get("/v1/items", key=(("X-Api-Key", "<expired>"),)), 401, "expired_api_key"),
    Case("without the scope", _get("/admin/keys"), 403, "insufficient_scope"),
    Case("by a method without the scope", Sent("/v1/items/7", "DELETE", GOOD), 403, "insufficient_scope"),
    Case("to no route", _get("/v2/items"), 403, "insufficient_scope"),
    Case(
        "with a bearer key and an X-Api-Key",
        _get("/v1/items", ("X-Api-Key", "<good>")),
        400,
        "ambiguous_credentials",
    ),
    Case(
        "with two X-Api-Keys",
        _get("/v1/items", ("X-Api-Key", "<good>"), ("X-Api-Key", "<good>"), key=()),
        400,
        "ambiguous_credentials",
    ),
    Case(
        "with two bearer keys",
        _get("/v1/items", *GOOD),
        400,
        "ambiguous_credentials",
        refused_by=NGINXES,
    ),
    Case(
        "with two keys in one header",
        _get("/v1/items", key=(("X-Api-Key", "<good>,<good>"),)),
        400,
        "ambiguous_credentials",
    ),
    Case("with a key in the query", _get("/v1/items?next=<good>", key=()), 400, "key_in_query"),
    Case("with a parameter for keys", _get("/v1/items?access_token=a"), 400, "key_in_query"),
    Case(
        "from an address that the key may not be used from",
        _get("/v1/items", key=(("X-Api-Key", "<elsewhere>"),)),
        403,
        "ip_not_allowed",
    ),
    _allowed(
        "from an address that the key may be used from",
        _get("/v1/items", key=(("X-Api-Key", "<anywhere>"),)),
        "anywhere",
    ),
    Case(
        "without the origin that the key needs",
        _get("/v1/items", key=(("X-Api-Key", "<page>"),)),
        403,
        "origin_not_allowed",
    ),
    _allowed(
        "from the origin that the key needs",
        _get("/v1/items", ("Origin", "https://shop.example"), key=(("X-Api-Key", "<page>"),)),
        "page",
    ),
]

PATHS = [
    _allowed("with a trailing slash", _get("/v1/items/")),
    _allowed("with an encoded letter", _get("/v1/%69tems")),
    _allowed("with dots and slashes in the query", _get("/v1/items?next=/../%2fadmin")),
    _allowed(
        "in absolute form",
        _get("http://api.example.com/v1/items?page=2"),
        target=dict.fromkeys(ALL, "/v1/items?page=2"),
    ),
    _refused("with dot segments", "/v1/items/../../admin/keys"),
    _refused("with encoded dot segments", "/v1/items/%2e%2e/%2E%2E/admin/keys"),
    _refused("with a single dot", "/v1/./items"),
    _refused("with two slashes", "/v1//items"),
    _refused("with two slashes at the start", "//v1/items"),
    _refused("with an encoded slash", "/v1/items/..%2f..%2Fadmin", frozenset({ENVOY})),
    _refused("with an encoded backslash", "/v1/items/..%5c..%5Cadmin", frozenset({ENVOY})),
    _refused("with a backslash", "/v1/items/..\\..\\admin"),
    _refused("with a semicolon", "/v1/items;a=b"),
    _refused("with an encoded semicolon", "/v1/items%3ba=b"),
    _refused("with an encoded NUL", "/v1/items%00", NGINXES),
    _refused("that is encoded twice", "/v1/items/%252e%252e/admin"),
    _refused("with an encoded control character", "/v1/items%0a"),
    _refused("that is no UTF-8", "/v1/items/%c3%28"),
]

CLAIMS = [
    *_claims(
        "an identity",
        *((name, "evil") for name in ("X-Auth-Key-Id", "X-Auth-Scopes", "X-Auth-Project", "x-auth-api-key")),
    ),
    *_claims(
        "an identity without a value of its own",
        ("X-Auth-Service-Account", "evil"),
        ("X-Auth-Expires-At", "evil"),
        ("X-Auth-Type", "evil"),
    ),
    *_claims(
        "an identity with underscores",
        ("X_Auth_Scopes", "evil"),
        ("X-Auth_Key-Id", "evil"),
        refused_by=frozenset({ENVOY}),
    ),
    *_claims("another URL", ("X-Original-URL", "/v1/items?evil"), ("X-Rewrite-URL", "/v1/items?evil")),
    *_claims("another URI", ("X-Original-URI", "/v1/items?evil"), ("X-Forwarded-Uri", "/v1/items?evil")),
    *_claims("another URI twice", ("X-Original-URI", "/v1/items?evil"), ("X-Original-URI", "/v1/items?evil")),
    *_claims(
        "another URI with underscores",
        ("X_Original_URI", "/v1/items?evil"),
        ("X_Forwarded_Uri", "/evil"),
        refused_by=frozenset({ENVOY}),
    ),
    *_claims("another method", ("X-Original-Method", "EVIL"), ("X-Forwarded-Method", "EVIL")),
    *_claims(
        "what Envoy says", ("X-Envoy-Original-Path", "/v1/items?evil"), ("X-Envoy-External-Address", "evil")
    ),
    *_claims("another host", ("X-Forwarded-Host", "evil"), ("X-Forwarded-Proto", "evil")),
    *_claims(
        "another address", ("X-Forwarded-For", "evil"), ("X-Real-IP", "evil"), ("Forwarded", "for=evil")
    ),
]

WAYS = [
    Case(
        f"that asks for another method by {name}",
        _get("/v1/items", (name, "DELETE")),
        400,
        "invalid_request",
    )
    for name in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override")
] + [
    Case(
        "by DELETE that says it was GET",
        Sent("/v1/items/7", "DELETE", (*GOOD, ("X-Original-Method", "GET"), ("X-Forwarded-Method", "GET"))),
        403,
        "insufficient_scope",
    ),
    Case(
        "that claims an address of the key's",
        _get(
            "/v1/items",
            ("X-Forwarded-For", "203.0.113.7"),
            ("X-Real-IP", "203.0.113.7"),
            ("X-Envoy-External-Address", "203.0.113.7"),
            key=(("X-Api-Key", "<elsewhere>"),),
        ),
        403,
        "ip_not_allowed",
    ),
    _allowed(
        "that names the identity in Connection",
        _get("/v1/items", ("Connection", "close, X-Auth-Key-Id, X-Auth-Scopes, X-Auth-Project")),
    ),
    _allowed(
        "with a Host that holds a query",
        _get("/v1/items", host="a?x="),
        refused_by=frozenset({ENVOY, CADDY, INGRESS}),
    ),
    Case(
        "to a denied path with a Host that holds an allowed one",
        _get("/admin/keys", host="a/v1/items?x="),
        403,
        "insufficient_scope",
        refused_by=ALL,
    ),
    _allowed("that is a preflight", Sent("/admin/keys", "OPTIONS", PREFLIGHT), None),
    _allowed(
        "that is a preflight and claims an identity",
        Sent("/admin/keys", "OPTIONS", (*PREFLIGHT, ("X-Auth-Scopes", "evil"), ("X-Auth-Key-Id", "evil"))),
        None,
    ),
    Case("by OPTIONS that is no preflight", Sent("/v1/items", "OPTIONS"), 401, "unauthorized"),
    Case(
        "that only looks like a preflight",
        Sent("/admin/keys", "OPTIONS", (*GOOD, *PREFLIGHT)),
        403,
        "insufficient_scope",
    ),
]

CASES = [*CREDENTIALS, *PATHS, *CLAIMS, *WAYS]
