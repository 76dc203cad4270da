"""Behind every gateway the same requests get the same verdicts, and the application is told the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from gateways.cases import ALL, CASES, ENVOY, GOOD, INGRESS, NGINX, Case
from gateways.population import IDENTITY
from gateways.wire import Answered, Sent

if TYPE_CHECKING:
    from gateways.population import Population
    from gateways.proxies import Gateway
    from gateways.upstream import Received, Upstream
    from gateways.verifier import RunningVerifier


LIMITS = ["X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "RateLimit-Policy", "RateLimit"]


def filled(request: Sent, population: Population) -> Sent:
    """A request with the raw keys in place of their names."""
    headers = tuple((name, population.fill(value)) for name, value in request.headers)
    return request._replace(target=population.fill(request.target), headers=headers)


def sent(
    gateway: Gateway, request: Sent, population: Population, upstream: Upstream
) -> tuple[Answered, list[Received]]:
    """Send a request; return the answer, and what of it reached the application."""
    before = len(upstream.received)
    answer = gateway.send(filled(request, population))
    return answer, upstream.received[before:]


def code_of(answer: Answered) -> str | None:
    """Return the code of a denial."""
    return None if answer.status == 200 else str(answer.json["error"]["code"])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_request(
    case: Case, gateway_name: str, gateway: Gateway, population: Population, upstream: Upstream
) -> None:
    answer, reached = sent(gateway, case.request, population, upstream)
    if gateway_name in case.refused_by:
        assert (400, []) == (answer.status, reached)
        return
    assert (case.status, case.code) == (answer.status, code_of(answer))
    if case.code is not None:
        assert reached == []
        return
    (received,) = reached
    target = case.target.get(gateway_name, case.request.target)
    assert (case.request.method, target) == (received.method, received.target)
    assert {"Authorization": [], "X-Api-Key": []} == {
        name: received.read_by_wsgi(name) for name in ("Authorization", "X-Api-Key")
    }
    identity = population.identity(case.identity) if case.identity else dict.fromkeys(IDENTITY, "")
    assert identity == {name: "".join(received.read_by_wsgi(name)) for name in IDENTITY}
    claimed = [header for header in received.headers if "evil" in f"{header}".lower()]
    assert claimed == []


def test_no_case_is_named_twice_or_refused_by_a_gateway_that_there_is_not() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)
    assert set().union(*(case.refused_by for case in CASES)) <= ALL


@pytest.mark.parametrize(
    ("request_sent", "challenges"),
    [
        (Sent("/v1/items"), ['Bearer realm="payments"']),
        (
            Sent("/v1/items", headers=(("X-Api-Key", "<revoked>"),)),
            ['Bearer realm="payments", error="invalid_token"'],
        ),
        (
            Sent("/admin/keys", headers=GOOD),
            ['Bearer realm="payments", error="insufficient_scope", scope="items:admin"'],
        ),
        (Sent("/v1/items", headers=(("X-Api-Key", "<foreign>"),)), None),
    ],
    ids=["no key", "a revoked key", "no scope", "a foreign key"],
)
def test_the_challenge_reaches_the_client_once(
    gateway: Gateway,
    population: Population,
    upstream: Upstream,
    request_sent: Sent,
    challenges: list[str] | None,
) -> None:
    answer, _ = sent(gateway, request_sent, population, upstream)
    assert challenges == answer.headers.get_all("WWW-Authenticate")


def test_a_denial_is_json_that_nobody_stores(
    gateway: Gateway, population: Population, upstream: Upstream
) -> None:
    for request in (Sent("/v1/items"), Sent("/admin/keys", headers=GOOD), Sent("/v1//items", headers=GOOD)):
        answer, _ = sent(gateway, request, population, upstream)
        wanted = {"Content-Type": ["application/json"], "Cache-Control": ["no-store"]}
        assert wanted == {name: answer.headers.get_all(name) for name in wanted}


def test_a_denied_head_has_the_status_and_no_body(
    gateway: Gateway, population: Population, upstream: Upstream
) -> None:
    answer, reached = sent(gateway, Sent("/admin/keys", "HEAD", GOOD), population, upstream)
    assert (403, b"", []) == (answer.status, answer.body, reached)


def test_what_is_over_the_limit_gets_429_and_when_to_come_back(
    gateway: Gateway, verifier: RunningVerifier, population: Population, upstream: Upstream
) -> None:
    request = Sent("/v1/items", headers=(("X-Api-Key", "<limited>"),))
    first, reached = sent(gateway, request, population, upstream)
    assert (200, 1) == (first.status, len(reached))
    second, reached = sent(gateway, request, population, upstream)
    assert (429, "rate_limited", []) == (second.status, code_of(second), reached)
    assert 3590 <= int(second.headers["Retry-After"]) <= 3600


def test_a_client_is_told_what_is_left_of_its_limits_where_the_gateway_can_tell_it(
    gateway_name: str, gateway: Gateway, population: Population, upstream: Upstream
) -> None:
    request = Sent("/v1/items", headers=(("X-Api-Key", "<told>"),))
    told = []
    for _ in range(2):
        answer, _ = sent(gateway, request, population, upstream)
        left = answer.headers["X-RateLimit-Remaining"]
        told.append((answer.status, left, [name for name in LIMITS if name in answer.headers]))
    with_allowed = ("0", LIMITS) if gateway_name in {ENVOY, NGINX} else (None, [])
    with_429 = ("0", LIMITS) if gateway_name != INGRESS else (None, [])
    assert [(200, *with_allowed), (429, *with_429)] == told


def test_no_header_of_the_identitys_family_gets_past_a_gateway_that_can_drop_it(
    gateway_name: str, gateway: Gateway, population: Population, upstream: Upstream
) -> None:
    request = Sent("/v1/items", headers=(*GOOD, ("X-Auth-Admin", "evil")))
    answer, (received,) = sent(gateway, request, population, upstream)
    # nginx has no way to drop headers by a prefix; its page says that only the seven count.
    passed = ["evil"] if gateway_name in {NGINX, INGRESS} else []
    assert (200, passed) == (answer.status, received.read_by_wsgi("X-Auth-Admin"))


def test_without_a_verifier_nothing_reaches_the_application(
    gateway_name: str, population: Population, upstream: Upstream, gateway_without_verifier: Gateway
) -> None:
    answer, reached = sent(gateway_without_verifier, Sent("/v1/items", headers=GOOD), population, upstream)
    away = {"envoy": 403, "nginx": 500, "ingress-nginx": 500, "caddy": 502}
    assert (away[gateway_name], []) == (answer.status, reached)
