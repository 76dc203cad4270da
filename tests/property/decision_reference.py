"""A decision as the contract has it: over raw JSON, in plain loops, slow and obvious. `decide` must agree.

It shares no code with `keywright.decision`, and takes a world as it is now: no history, nothing compiled.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
import re
import zlib
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

Object = dict[str, Any]

SYSTEM = "keywright-system"
SECONDS = {"1s": 1, "1m": 60, "1h": 3600, "24h": 86400}
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
FORM = r"[a-z][a-z0-9]{1,9}(?:_[a-z0-9]{1,10}){0,2}_(?:dev|prod|client)_[a-z0-9]{16}_[0-9A-Za-z]{49}"


class World(NamedTuple):
    """All objects, each by `namespace/name`, and the labels of namespaces."""

    projects: dict[str, Object]
    api_keys: dict[str, Object]
    revocations: dict[str, Object]
    namespaces: dict[str, Object]


class Asked(NamedTuple):
    """A request; what it presents is not shown."""

    project: str
    method: str
    path: str
    query: str
    authorization: tuple[str, ...]
    api_keys: tuple[str, ...]
    origins: tuple[str, ...]
    client: str | None

    def __repr__(self) -> str:
        count = len(self.authorization) + len(self.api_keys)
        return f"Asked({self.project} {self.method} {self.path} from {self.client}, {count} headers)"


class Answer(NamedTuple):
    """`code` is "allowed" or why not; of the rest, what goes with it."""

    code: str
    scopes: frozenset[str] = frozenset()
    headers: tuple[tuple[str, str], ...] = ()
    limits: tuple[tuple[str, int, int, int], ...] = ()


def answer(world: World, asked: Asked, now: float) -> Answer:  # noqa: C901, PLR0911, PLR0912  one step after the other
    project = world.projects.get(asked.project)
    if project is None:
        return Answer("project_not_found")
    routes = matching_routes(project["spec"], asked.method, asked.path)
    if routes and all(route.get("public") for route in routes):
        return Answer("allowed", headers=headers())
    bearers = [a[6:].strip(" ") for a in asked.authorization if re.match(r"(?i)bearer( |$)", a)]
    joined = any("," in c for c in (*bearers, *asked.api_keys))
    hidden = any(re.search(r"(?i), *bearer( |$)", a) for a in asked.authorization)
    twice = len(asked.authorization) > 1 or len(asked.api_keys) > 1
    if len(bearers) + len(asked.api_keys) > 1 or joined or hidden or twice:
        return Answer("ambiguous_credentials")
    for name, value in parse_qsl(asked.query, keep_blank_values=True):
        if name.lower() in {"api_key", "apikey", "key", "access_token"} or re.search(FORM, value):
            return Answer("key_in_query")
    credentials = [*bearers, *asked.api_keys]
    if not credentials:
        return Answer("unauthorized")
    held = holder(world, credentials[0], asked.project)
    if isinstance(held, str):
        return Answer(held)
    api_key, generation = held
    spec = api_key["spec"]
    end = expiry(project, api_key, generation)
    if is_revoked(world, api_key, generation):
        return Answer("revoked_api_key")
    if generation["state"] == "Expired" or (end is not None and now >= end):
        return Answer("expired_api_key")
    retires = generation.get("retiresAt") if generation["state"] == "Retiring" else None
    if generation["state"] == "Retired" or (retires and now >= moment(retires)):
        return Answer("superseded_api_key")
    if spec.get("suspend"):
        return Answer("disabled_api_key")
    if project["spec"].get("suspend"):
        return Answer("project_suspended")
    if not lets_in(project["spec"].get("allowedNamespaces", {"from": "Same"}), project, api_key, world):
        return Answer("namespace_not_allowed")
    restrictions = spec.get("restrictions", {})
    cidrs = restrictions.get("cidrs")
    if cidrs and not any(in_network(asked.client, cidr) for cidr in cidrs):
        return Answer("ip_not_allowed")
    origins = restrictions.get("origins")
    if origins or (spec.get("type") == "Client" and not restrictions.get("anyOrigin")):
        sent = asked.origins[0] if len(asked.origins) == 1 else ""
        if not any(same_origin(origin, sent) for origin in origins or ()):
            return Answer("origin_not_allowed")
    scopes = granted(world, project, api_key)
    has_routes = bool(project["spec"].get("routes"))
    if not routes and project["spec"].get("unmatchedRoutes", "Deny" if has_routes else "Allow") == "Deny":
        return Answer("insufficient_scope")
    for route in routes:
        all_of, any_of = route.get("scopes", ()), route.get("anyScopes", ())
        enough = all(satisfied(scopes, s, spec) for s in all_of)
        if not enough or (any_of and not any(satisfied(scopes, s, spec) for s in any_of)):
            named = [s for r in routes for s in (*r.get("scopes", ()), *r.get("anyScopes", ()))]
            return Answer("insufficient_scope", frozenset(named))
    told = "" if end is None else f"{datetime.fromtimestamp(math.ceil(end), UTC):%Y-%m-%dT%H:%M:%SZ}"
    return Answer(
        "allowed",
        headers=headers(
            generation["id"],
            name_of(api_key),
            asked.project,
            " ".join(sorted(scopes)),
            spec.get("type", "Production"),
            spec.get("owner", ""),
            told,
        ),
        limits=limits(project, api_key),
    )


def headers(*values: str) -> tuple[tuple[str, str], ...]:
    names = ("key-id", "api-key", "project", "scopes", "type", "service-account", "expires-at")
    return tuple(
        (f"x-auth-{name}", value) for name, value in zip(names, values or [""] * len(names), strict=True)
    )


def name_of(obj: Object) -> str:
    return f"{obj['metadata']['namespace']}/{obj['metadata']['name']}"


def project_of(api_key: Object) -> str:
    ref = api_key["spec"]["projectRef"]
    return f"{ref.get('namespace', api_key['metadata']['namespace'])}/{ref['name']}"


def moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def holder(world: World, credential: str, project: str) -> tuple[Object, Object] | str:
    number = zlib.crc32(credential[:-6].encode())
    checksum = ""
    for _ in range(6):
        checksum, number = ALPHABET[number % 62] + checksum, number // 62
    if not re.fullmatch(FORM, credential) or credential[-6:] != checksum:
        return "invalid_api_key"
    digest = "sha256:" + hashlib.sha256(credential.encode()).hexdigest()
    every = [
        (api_key, generation)
        for api_key in world.api_keys.values()
        for generation in api_key["status"]["keys"]
        if generation["digest"] == digest
    ]
    mine = [pair for pair in every if project_of(pair[0]) == project]
    mine.sort(key=lambda pair: (pair[0]["metadata"]["creationTimestamp"], pair[0]["metadata"]["uid"]))
    if not every:
        return "invalid_api_key"
    return mine[0] if mine else "wrong_project"


def expiry(project: Object, api_key: Object, generation: Object) -> float | None:
    ends = [moment(text) for text in (generation.get("expiresAt"), api_key["spec"].get("expiresAt")) if text]
    longest = project["spec"].get("limits", {}).get("maxExpiresAfter")
    if longest:
        ends.append(moment(generation["createdAt"]) + SECONDS[longest])
    status = api_key["status"]
    if status.get("currentKeyID") == generation["id"] and status.get("expiresAt"):
        ends.append(moment(status["expiresAt"]))
    return min(ends, default=None)


def is_revoked(world: World, api_key: Object, generation: Object) -> bool:
    metadata = api_key["metadata"]
    if generation["state"] == "Revoked" or "deletionTimestamp" in metadata:
        return True
    conditions = api_key["status"].get("conditions", ())
    if any(c["type"] == "Revoked" and c["status"] == "True" for c in conditions):
        return True
    for revocation in world.revocations.values():
        about, spec = revocation["metadata"], revocation["spec"]
        if about["namespace"] not in {metadata["namespace"], project_of(api_key).split("/")[0], SYSTEM}:
            continue
        if spec.get("keyID") == generation["id"]:
            return True
        ref = spec.get("apiKeyRef")
        if ref and f"{ref.get('namespace', about['namespace'])}/{ref['name']}" == name_of(api_key):
            ours = about["namespace"] == SYSTEM and "app.kubernetes.io/managed-by" in about.get("labels", {})
            if not (ours and about["name"].startswith("a-")) or about["name"] == f"a-{metadata['uid']}":
                return True
    return False


def lets_in(allowed: Object, project: Object, api_key: Object, world: World) -> bool:
    namespace = api_key["metadata"]["namespace"]
    if allowed["from"] == "Same":
        return bool(namespace == project["metadata"]["namespace"])
    if allowed["from"] == "All":
        return True
    labels = world.namespaces.get(namespace, {}).get("metadata", {}).get("labels")
    if labels is None:
        return False
    return all(labels.get(name) == value for name, value in allowed["selector"]["matchLabels"].items())


def granted(world: World, project: Object, api_key: Object) -> set[str]:
    catalogue, found = project["spec"].get("scopes", ()), set()
    key_type = api_key["spec"].get("type", "Production")
    for asked in api_key["spec"].get("scopes", ()):
        if not may_hold(asked, key_type):
            continue
        if not catalogue and not asked.startswith("keywright:"):
            found.add(asked)
        for scope in catalogue:
            if (
                covered(asked, scope["name"])
                and may_hold(scope["name"], key_type)
                and key_type in scope.get("allowedTypes", (key_type,))
                and lets_in(scope.get("allowedNamespaces", {"from": "All"}), project, api_key, world)
            ):
                found.add(scope["name"])
    return found


def may_hold(scope: str, key_type: str) -> bool:
    return key_type != "Client" or (scope != "*" and "admin" not in scope.split(":"))


def covered(pattern: str, scope: str) -> bool:
    if pattern.endswith("*"):
        return scope.startswith(pattern[:-1]) and not scope.startswith("keywright:")
    return pattern == scope


def satisfied(scopes: set[str], needed: str, spec: Object) -> bool:
    return may_hold(needed, spec.get("type", "Production")) and any(covered(s, needed) for s in scopes)


def matching_routes(spec: Object, method: str, path: str) -> list[Object]:
    asked = [segment for segment in path.split("/") if segment]
    found = []
    for route in spec.get("routes", ()):
        methods = route.get("methods")
        if methods and method not in methods and not (method == "HEAD" and "GET" in methods):
            continue
        pattern = [segment for segment in route["path"].split("/") if segment]
        rank = []
        for place, segment in enumerate(pattern):
            if segment == "*" and place < len(asked):
                rank.append(2)
                pattern, rank_length = pattern[:place], len(asked)
                break
            if place < len(asked) and (segment == asked[place] or segment.startswith("{")):
                rank.append(1 if segment.startswith("{") else 0)
                continue
            rank = [9]
            break
        else:
            rank_length = len(pattern)
        if rank != [9] and rank_length == len(asked):
            found.append((rank, route))
    best = min((rank for rank, _ in found), default=None)
    return [route for rank, route in found if rank == best]


def in_network(client: str | None, cidr: str) -> bool:
    try:
        address = ipaddress.ip_address(client or "")
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address in ipaddress.ip_network(cidr)


def same_origin(allowed: str, sent: str) -> bool:
    allowed, sent = (
        re.sub(r"^(https://.*):443$|^(http://.*):80$", r"\1\2", text) for text in (allowed, sent)
    )
    return re.fullmatch(re.escape(allowed).replace(r"\*", "[a-z0-9_-]+"), sent) is not None


def limits(project: Object, api_key: Object) -> tuple[tuple[str, int, int, int], ...]:
    of_client = [{"requests": 100, "period": "1m"}] if api_key["spec"].get("type") == "Client" else []
    defaults = project["spec"].get("defaults", {}).get("rateLimits", of_client)
    own = api_key["spec"].get("rateLimits", defaults)
    listed = [
        (
            owner["metadata"]["uid"],
            rule["requests"],
            SECONDS[rule["period"]],
            rule.get("burst", rule["requests"]),
        )
        for owner, rules in ((api_key, own), (project, project["spec"].get("rateLimits", [])))
        for rule in rules
    ]
    return tuple(dict.fromkeys(listed))
