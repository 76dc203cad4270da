"""What the proxy is told, dialect by dialect."""

from __future__ import annotations

import json

import pytest

from keywright.decision.code import Code
from keywright.decision.entry import Entry
from keywright.decision.limits import Bucket, LocalStore, Rule, Taken
from keywright.decision.outcome import PUBLIC, Allowed, Denied
from keywright.verifier.answers import Answer, Answers, Refusals
from keywright.verifier.dialects import IDENTITY

DIALECTS = ["envoy", "nginx", "traefik"]
PROJECT = "platform/payments"
NOW = 1_800_000_000.25


def header(answer: Answer, name: str) -> str | None:
    values = [value.decode() for key, value in answer.headers if key == name.encode()]
    assert len(values) < 2
    return values[0] if values else None


def error(answer: Answer) -> dict[str, str]:
    content = json.loads(answer.body)
    assert list(content) == ["error"]
    found: dict[str, str] = content["error"]
    return found


def entry() -> Entry:
    return Entry("shop/checkout", "uid-of-key")


def allowed(*buckets: Bucket) -> Allowed:
    return Allowed(entry(), None, tuple((name, b"v") for name in IDENTITY), buckets)


KEY = Bucket("uid-of-key", Rule(100, 60.0, 20))
BURSTY = Bucket("uid-of-key", Rule(1000, 1.0, 2000))
SLOW = Bucket("uid-of-key", Rule(1, 2.5, 1))
PROJECTS = Bucket("uid-of-project", Rule(50, 1.5, 50))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("code", Code)
def test_a_denial_says_its_code_a_sentence_and_an_id(dialect: str, code: Code) -> None:
    answers = Answers(dialect)
    first, second = (answers.deny(Denied(code), PROJECT) for _ in range(2))
    assert (code, code.message) == (error(first)["code"], error(first)["message"])
    assert error(first)["request_id"] != error(second)["request_id"]
    assert header(first, "content-type") == "application/json"
    assert header(first, "cache-control") == "no-store"
    assert header(first, "content-length") == str(len(first.body))


@pytest.mark.parametrize("dialect", ["envoy", "traefik"])
@pytest.mark.parametrize("code", Code)
def test_a_denial_reaches_a_client_of_envoy_and_traefik_as_it_is(dialect: str, code: Code) -> None:
    answer = Answers(dialect).deny(Denied(code), PROJECT)
    assert code.status == answer.status
    assert header(answer, "x-error-status") is None


@pytest.mark.parametrize("code", Code)
def test_nginx_passes_on_401_and_403_only_so_the_rest_travels_beside(code: Code) -> None:
    answer = Answers("nginx").deny(Denied(code), PROJECT)
    assert {400: 403, 401: 401, 403: 403, 429: 403, 503: 503}[code.status] == answer.status
    assert header(answer, "x-error-status") == str(code.status)
    assert header(answer, "x-error-body") == answer.body.decode()
    assert "\n" not in answer.body.decode()


CHALLENGES = {
    Code.UNAUTHORIZED: 'Bearer realm="payments"',
    Code.INVALID_API_KEY: 'Bearer realm="payments", error="invalid_token"',
    Code.REVOKED_API_KEY: 'Bearer realm="payments", error="invalid_token"',
    Code.EXPIRED_API_KEY: 'Bearer realm="payments", error="invalid_token"',
    Code.SUPERSEDED_API_KEY: 'Bearer realm="payments", error="invalid_token"',
    Code.AMBIGUOUS_CREDENTIALS: 'Bearer realm="payments", error="invalid_request"',
    Code.KEY_IN_QUERY: 'Bearer realm="payments", error="invalid_request"',
    Code.INSUFFICIENT_SCOPE: 'Bearer realm="payments", error="insufficient_scope"',
}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("code", Code)
def test_a_challenge_is_that_of_rfc_6750_where_another_key_would_help(dialect: str, code: Code) -> None:
    answer = Answers(dialect).deny(Denied(code), PROJECT)
    assert CHALLENGES.get(code) == header(answer, "www-authenticate")


def test_a_challenge_names_the_scopes_that_are_needed() -> None:
    answer = Answers("envoy").deny(Denied(Code.INSUFFICIENT_SCOPE, ("keys:read", "admin")), PROJECT)
    challenge = 'Bearer realm="payments", error="insufficient_scope", scope="keys:read admin"'
    assert challenge == header(answer, "www-authenticate")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_that_may_pass_is_200_and_empty_with_the_whole_identity(dialect: str) -> None:
    answer = Answers(dialect).allow(allowed(), None)
    assert (200, b"") == (answer.status, answer.body)
    assert header(answer, "content-length") == "0"
    assert all(header(answer, name.decode()) == "v" for name in IDENTITY)
    assert header(answer, "ratelimit") is None


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_need_not_say_who_they_are_passes_as_nobody(dialect: str) -> None:
    answer = Answers(dialect).allow(PUBLIC, None)
    assert answer.status == 200
    assert all(header(answer, name.decode()) == "" for name in IDENTITY)


def test_envoy_takes_the_key_and_every_other_spelling_of_an_identity_out_of_the_request() -> None:
    for answer in (Answers("envoy").allow(allowed(), None), Answers("envoy").allow(PUBLIC, None)):
        removed = (header(answer, "x-envoy-auth-headers-to-remove") or "").split(",")
        assert {"authorization", "x-api-key", "x_auth_scopes", "x-auth_key-id"} <= set(removed)
        assert not {name.decode() for name in IDENTITY} & set(removed)


@pytest.mark.parametrize("dialect", ["nginx", "traefik"])
def test_only_envoy_is_told_what_to_remove(dialect: str) -> None:
    assert header(Answers(dialect).allow(allowed(), None), "x-envoy-auth-headers-to-remove") is None


def taken(*buckets: Bucket, times: int = 1) -> Taken:
    fresh = [Bucket(bucket.owner, bucket.rule) for bucket in buckets]
    store = LocalStore()
    for _ in range(times - 1):
        store.take(fresh, NOW)
    return store.take(fresh, NOW)


def test_what_is_left_of_a_limit_is_told() -> None:
    answer = Answers("envoy").allow(allowed(KEY), taken(KEY))
    assert header(answer, "x-ratelimit-limit") == "20"
    assert header(answer, "x-ratelimit-remaining") == "19"
    assert header(answer, "x-ratelimit-reset") == "1800000001"
    assert header(answer, "ratelimit-policy") == '"key";q=20;w=12'
    assert header(answer, "ratelimit") == '"key";r=19;t=1'


def test_of_several_limits_the_tightest_is_told_and_each_has_a_name() -> None:
    buckets = (KEY, BURSTY, PROJECTS)
    answer = Answers("traefik").allow(allowed(*buckets), taken(*buckets, times=3))
    assert header(answer, "x-ratelimit-limit") == "20"
    assert header(answer, "x-ratelimit-remaining") == "17"
    assert header(answer, "ratelimit-policy") == '"key";q=20;w=12, "key-2";q=2000;w=2, "project";q=50;w=2'
    assert header(answer, "ratelimit") == '"key";r=17;t=2, "key-2";r=1997;t=1, "project";r=47;t=1'


@pytest.mark.parametrize("dialect", DIALECTS)
def test_who_is_limited_is_told_how_long_to_wait(dialect: str) -> None:
    answer = Answers(dialect).limit(allowed(KEY), taken(KEY, times=21))
    assert (403 if dialect == "nginx" else 429) == answer.status
    assert error(answer)["code"] == "rate_limited"
    assert header(answer, "retry-after") == "1"
    assert header(answer, "x-ratelimit-remaining") == "0"
    assert header(answer, "ratelimit") == '"key";r=0;t=12'


def test_a_wait_is_rounded_up() -> None:
    waiting = taken(SLOW, times=2)
    assert header(Answers("envoy").limit(allowed(SLOW), waiting), "retry-after") == "3"


def test_what_is_no_request_of_a_dialect_is_answered_in_the_same_form() -> None:
    refusals = Refusals()
    answers = {
        "invalid_request": (400, refusals.malformed(400)),
        "headers_too_large": (431, refusals.malformed(431)),
        "not_found": (404, refusals.not_found()),
        "internal_error": (403, refusals.unforeseen()),
    }
    for code, (status, answer) in answers.items():
        assert (status, code) == (answer.status, error(answer)["code"])
        assert header(answer, "content-length") == str(len(answer.body))
