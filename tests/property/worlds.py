"""Small worlds in which much coincides: few names, keys, scopes and paths, so that all rules meet."""

from __future__ import annotations

import random
from typing import Any

from hypothesis import strategies as st

from keywright.api.project import KeyType
from keywright.decision.index import Index
from keywright.decision.request import Request
from keywright.keys import raw
from property.decision_reference import SYSTEM, Asked, Object, World

NOW = 1_800_000_000.0  # 2027-01-15T08:00:00Z
TIMES = ("2027-01-15T07:30:00Z", "2027-01-15T07:59:59Z", "2027-01-15T08:00:00Z", "2027-01-15T08:00:01Z")
LATER = ("2027-01-15T09:30:00Z", "2027-06-01T00:00:00Z")

_random = random.Random(1)
KEYS = tuple(
    raw.mint(prefix, key_type, entropy=_random.randbytes)
    for prefix, key_type in (
        ("kw", KeyType.PRODUCTION),
        ("kw", KeyType.DEVELOPMENT),
        ("acme_pay", KeyType.CLIENT),
        ("kw", KeyType.CLIENT),
    )
)
STRANGER = raw.mint("kw", KeyType.PRODUCTION, entropy=_random.randbytes)

PROJECTS = ("platform/payments", "platform/other", "shop/payments")
API_KEYS = ("platform/a", "shop/a", "shop/b")
SCOPES = ("data", "data:read", "data:a:b", "admin", "data:admin", "keywright:admin")
REQUESTED = (*SCOPES, "*", "data:*", "keywright:*")
PATHS = ("/", "/v1", "/v1/", "/v1/keys", "/v1/keys/7", "/v1/keys/7/", "/v1/keys/7/uses", "/v2/keys")
PATTERNS = (
    "/",
    "/v1",
    "/v1/keys",
    "/v1/keys/",
    "/v1/{x}",
    "/v1/keys/{id}",
    "/v1/*",
    "/{a}/keys",
    "/*",
    "/v1/keys/7",
)
METHODS = ("GET", "HEAD", "POST")
CIDRS = ("10.0.0.0/8", "10.1.2.3/32", "2001:db8::/32", "0.0.0.0/0")
CLIENTS = (
    None,
    "10.1.2.3",
    "10.9.9.9",
    "::ffff:10.1.2.3",
    "192.0.2.1",
    "2001:db8::1",
    "nonsense",
    "10.1.2.3 ",
)
ORIGINS = (
    "https://app.example.com",
    "https://*.example.com",
    "https://app.example.com:443",
    "app://localhost",
)
SENT_ORIGINS = (
    "https://app.example.com",
    "https://x.example.com",
    "https://example.com",
    "null",
    "app://localhost",
)


def some(values: tuple[str, ...], most: int = 3) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=most, unique=True)


def fields(**optional: st.SearchStrategy[Any]) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries({}, optional=optional)


SELECTED = st.just({"from": "Selector", "selector": {"matchLabels": {"team": "b"}}})
NAMESPACES = SELECTED | st.sampled_from([{"from": "Same"}] + [{"from": "All"}] * 4)
RATE_LIMITS = st.lists(
    st.fixed_dictionaries(
        {"requests": st.integers(1, 3), "period": st.sampled_from(["1s", "1m"])},
        optional={"burst": st.integers(1, 3)},
    ),
    max_size=2,
)
CATALOGUE = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(SCOPES)},
        optional={"allowedTypes": some(("Production", "Client")), "allowedNamespaces": NAMESPACES},
    ),
    max_size=5,
    unique_by=lambda scope: str(scope["name"]),
)
SCOPED = fields(methods=some(METHODS), scopes=some(SCOPES, 2), anyScopes=some(SCOPES, 2))
ROUTE = st.tuples(
    st.sampled_from(PATTERNS), SCOPED | fields(methods=some(METHODS)).map(lambda r: r | {"public": True})
).map(lambda both: {"path": both[0], **both[1]})
PROJECT_SPECS = fields(
    suspend=st.sampled_from([False] * 6 + [True]),
    allowedNamespaces=NAMESPACES,
    scopes=CATALOGUE,
    routes=st.lists(ROUTE, max_size=6),
    unmatchedRoutes=st.sampled_from(["Allow", "Allow", "Deny"]),
    defaults=fields(rateLimits=RATE_LIMITS),
    limits=fields(maxExpiresAfter=st.sampled_from(["1h", "24h"])),
    rateLimits=RATE_LIMITS,
)
STATES = ["Active"] * 8 + ["Pending", "Retiring", "Retiring", "Retired", "Expired", "Revoked"]
GENERATION = st.fixed_dictionaries(
    {"state": st.sampled_from(STATES), "createdAt": st.sampled_from(TIMES)},
    optional={
        "expiresAt": st.sampled_from(TIMES + LATER * 4),
        "retiresAt": st.sampled_from(TIMES + LATER),
    },
)


def generations(first: raw.RawKey) -> st.SearchStrategy[list[Object]]:
    """Return some generations, among them mostly one of that key."""
    others = st.lists(st.sampled_from(KEYS), max_size=2)
    held = st.sampled_from([True] * 6 + [False]).flatmap(
        lambda has: others.map(lambda found: list(dict.fromkeys([first, *found] if has else found)))
    )
    return held.flatmap(
        lambda keys: st.tuples(*(GENERATION for _ in keys)).map(
            lambda told: [
                {"id": k.id, "revision": 1, "digest": k.digest, "hint": k.hint, "cause": "First", **rest}
                for k, rest in zip(keys, told, strict=True)
            ]
        )
    )


REVOKED = {
    "type": "Revoked",
    "status": "True",
    "reason": "Revoked",
    "lastTransitionTime": TIMES[0],
    "observedGeneration": 1,
}


def statuses(first: raw.RawKey) -> st.SearchStrategy[Object]:
    return st.fixed_dictionaries(
        {"keys": generations(first)},
        optional={
            "currentKeyID": st.sampled_from([key.id for key in KEYS]),
            "expiresAt": st.sampled_from(TIMES + LATER * 4),
            "conditions": st.sampled_from([[]] * 9 + [[REVOKED], [REVOKED | {"status": "False"}]]),
        },
    )


REFS = st.sampled_from(
    [{"name": "payments", "namespace": "platform"}] * 3 + [{"name": "payments"}, {"name": "other"}]
)
API_KEY_SPECS = st.fixed_dictionaries(
    {"projectRef": REFS},
    optional={
        "type": st.sampled_from(["Production", "Development", "Client"]),
        "owner": st.sampled_from(["bot", "team.a"]),
        "scopes": some(REQUESTED),
        "suspend": st.sampled_from([False] * 6 + [True]),
        "expiresAt": st.sampled_from(TIMES + LATER * 4),
        "restrictions": fields(cidrs=some(CIDRS, 2), origins=some(ORIGINS, 2)) | st.just({"anyOrigin": True}),
        "rateLimits": RATE_LIMITS,
    },
)


def metadata(name: str, **more: Any) -> Object:
    namespace, plain = name.split("/")
    about = {
        "name": plain,
        "namespace": namespace,
        "uid": f"uid-{namespace}-{plain}",
        "resourceVersion": "10",
    }
    return about | more


@st.composite
def api_keys(draw: st.DrawFn, name: str) -> Object:
    about = metadata(name, creationTimestamp=draw(st.sampled_from(TIMES[:2])))
    if draw(st.integers(0, 15)) == 7:
        about["deletionTimestamp"] = TIMES[0]
    return {
        "metadata": about,
        "spec": draw(API_KEY_SPECS),
        "status": draw(statuses(KEYS[API_KEYS.index(name)])),
    }


@st.composite
def revocations(draw: st.DrawFn) -> Object:
    namespace = draw(st.sampled_from(["platform", "shop", SYSTEM, "elsewhere"]))
    name = draw(st.sampled_from(["r1", "r2", "a-uid-shop-a", "a-uid-other"]))
    labels = draw(st.sampled_from([{}, {"app.kubernetes.io/managed-by": "keywright"}]))
    spec: Object = {"reason": "KeyCompromise"}
    if draw(st.booleans()):
        spec["keyID"] = draw(st.sampled_from(KEYS)).id
    else:
        target = draw(st.sampled_from(["a", "b"]))
        spec["apiKeyRef"] = draw(st.sampled_from([{"name": target}, {"name": target, "namespace": "shop"}]))
    about = metadata(f"{namespace}/{name}", labels=labels, creationTimestamp=TIMES[2])
    return {"metadata": about, "spec": spec}


def namespaces(name: str) -> st.SearchStrategy[Object]:
    about = {"name": name, "uid": name, "resourceVersion": "1"}
    labels = st.sampled_from([{"team": "b"}, {"team": "c"}, {}])
    return labels.map(lambda told: {"metadata": about | {"labels": told}})


WORLDS = st.builds(
    World,
    projects=st.fixed_dictionaries(
        {PROJECTS[0]: PROJECT_SPECS}, optional=dict.fromkeys(PROJECTS[1:], PROJECT_SPECS)
    ).map(lambda specs: {name: {"metadata": metadata(name), "spec": spec} for name, spec in specs.items()}),
    api_keys=st.fixed_dictionaries(
        {name: api_keys(name) for name in API_KEYS[:2]}, optional={API_KEYS[2]: api_keys(API_KEYS[2])}
    ),
    revocations=st.just({})
    | st.just({})
    | st.lists(revocations(), max_size=3).map(
        lambda found: {f"{r['metadata']['namespace']}/{r['metadata']['name']}": r for r in found}
    ),
    namespaces=st.fixed_dictionaries({}, optional={name: namespaces(name) for name in ("platform", "shop")}),
)

CREDENTIALS = st.sampled_from(
    [key.value for key in KEYS[:3]] * 12
    + [STRANGER.value, KEYS[0].value[:-1] + "!", KEYS[0].hint, "", "é", f"{KEYS[0].value}, {KEYS[1].value}"]
)
BEARERS = st.tuples(st.sampled_from(["Bearer ", "Bearer ", "bearer  ", "BEARER "]), CREDENTIALS).map("".join)
OTHERS = st.sampled_from(["Basic dTpw", "Bearer", "Bearers x", 'Digest a="b", c="d"', "Basic dTpw, Bearer x"])
NONE: st.SearchStrategy[tuple[str, ...]] = st.just(())
ONE_BEARER = st.tuples(BEARERS.map(lambda one: (one,)), NONE)
ONE_API_KEY = st.tuples(NONE, CREDENTIALS.map(lambda one: (one,)))
ANY = st.tuples(
    st.lists(BEARERS | OTHERS, max_size=2).map(tuple), st.lists(CREDENTIALS, max_size=2).map(tuple)
)
PRESENTED = st.sampled_from([ONE_BEARER] * 6 + [ONE_API_KEY, ONE_API_KEY, ANY]).flatmap(lambda chosen: chosen)
QUERIES = st.sampled_from(
    [""] * 60
    + [
        "a=b",
        "api_key=x",
        "a=b&KEY=",
        "%6bey=1",
        f"a={KEYS[0].value}",
        "access_token",
        "monkey=1",
        "a=key&b=api_key",
    ]
)


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    authorization, api_keys_sent = draw(PRESENTED)
    return Asked(
        draw(st.sampled_from([PROJECTS[0]] * 12 + [*PROJECTS, "no/such"])),
        draw(st.sampled_from(METHODS)),
        draw(st.sampled_from(PATHS)),
        draw(QUERIES),
        authorization,
        api_keys_sent,
        draw(st.lists(st.sampled_from(SENT_ORIGINS), max_size=2).map(tuple)),
        draw(st.sampled_from(CLIENTS)),
    )


def request_of(asked: Asked) -> Request:
    return Request(
        asked.project,
        asked.method,
        asked.path,
        asked.query,
        tuple(value.encode("latin-1") for value in asked.authorization),
        tuple(value.encode("latin-1") for value in asked.api_keys),
        tuple(value.encode("latin-1") for value in asked.origins),
        asked.client,
    )


def events(world: World) -> list[tuple[str, Object]]:
    """Return every object of a world with its kind."""
    kinds = zip(("project", "apikey", "revocation", "namespace"), world, strict=True)
    return [(kind, obj) for kind, objects in kinds for obj in objects.values()]


def index_of(told: list[tuple[str, Object]]) -> Index:
    index = Index(system_namespace=SYSTEM)
    for kind, obj in told:
        index.put(kind, obj)
    return index
