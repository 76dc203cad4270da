"""What each proxy tells, and what is refused because a client may have told it."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

import pytest

from keywright.decision.code import Code
from keywright.decision.request import Request
from keywright.verifier.dialects import Proxies, Reading, address, readers

if TYPE_CHECKING:
    from collections.abc import Mapping

PROJECT = "platform/payments"
PROXY = "127.0.0.1"
STRANGER = "203.0.113.9"

TOLD = {
    "envoy": {},
    "nginx": {"x-original-method": "GET", "x-original-uri": "/v1/keys?a=b"},
    "traefik": {"x-forwarded-method": "GET", "x-forwarded-uri": "/v1/keys?a=b"},
}
"""What the three say of the same request; Envoy sends it as its own."""

FORWARDED = ["nginx", "traefik"]
METHOD = {"nginx": "x-original-method", "traefik": "x-forwarded-method"}
PATH = {"nginx": "x-original-uri", "traefik": "x-forwarded-uri"}


def read(
    dialect: str,
    *more: tuple[str, str],
    without: str | None = None,
    peer: str = PROXY,
    method: str = "GET",
    own: str = "/v1/keys",
    proxies: Proxies | None = None,
    changed: Mapping[str, str] | None = None,
) -> Reading | Code:
    """Read `GET /v1/keys?a=b` as a proxy tells of it, with some headers changed, left out or added."""
    told = {**TOLD[dialect], **(changed or {})}
    headers = [(name.encode(), value.encode()) for name, value in told.items() if name != without]
    headers += [(name.encode(), value.encode("latin-1")) for name, value in more]
    reader = readers(proxies or Proxies())[dialect.encode()]
    return reader.read(PROJECT, method, own.encode(), b"a=b", headers, peer)


def asked(reading: Reading | Code) -> Request:
    assert isinstance(reading, Reading), reading
    return reading.request


def client(
    dialect: str, *more: tuple[str, str], peer: str = PROXY, proxies: Proxies | None = None
) -> str | None:
    return asked(read(dialect, *more, peer=peer, proxies=proxies)).client


@pytest.mark.parametrize("dialect", TOLD)
def test_the_same_request_is_read_the_same_whoever_tells_of_it(dialect: str) -> None:
    reading = read(
        dialect,
        ("host", "api.example.com"),
        ("authorization", "Bearer one"),
        ("x-api-key", "two"),
        ("origin", "https://app.example.com"),
        ("x-forwarded-for", "198.51.100.7"),
    )
    assert (
        Reading(
            Request(
                PROJECT,
                "GET",
                "/v1/keys",
                "a=b",
                (b"Bearer one",),
                (b"two",),
                (b"https://app.example.com",),
                "198.51.100.7",
            ),
            overridden=False,
            preflight=False,
        )
        == reading
    )


@pytest.mark.parametrize("dialect", TOLD)
def test_every_value_of_a_credential_is_kept_so_that_two_are_seen(dialect: str) -> None:
    request = asked(
        read(dialect, ("x-api-key", "a"), ("authorization", "b"), ("x-api-key", "c"), ("authorization", "d"))
    )
    assert ((b"b", b"d"), (b"a", b"c")) == (request.authorization, request.api_keys)


@pytest.mark.parametrize("dialect", FORWARDED)
def test_the_proxys_own_method_and_path_are_not_the_clients(dialect: str) -> None:
    request = asked(read(dialect, method="POST", own="/other/../path"))
    assert ("GET", "/v1/keys", "a=b") == (request.method, request.path, request.query)


@pytest.mark.parametrize("dialect", FORWARDED)
def test_a_missing_method_is_never_guessed(dialect: str) -> None:
    assert read(dialect, without=METHOD[dialect]) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", FORWARDED)
def test_a_missing_path_is_never_guessed(dialect: str) -> None:
    assert read(dialect, without=PATH[dialect]) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", FORWARDED)
@pytest.mark.parametrize("value", ["get", "Get", "", "GET POST", "GET,POST", "G" * 33, "GE\xadT", "-GET"])
def test_a_method_that_a_framework_may_read_as_another_is_refused(dialect: str, value: str) -> None:
    assert read(dialect, changed={METHOD[dialect]: value}) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", FORWARDED)
def test_a_method_told_twice_is_refused(dialect: str) -> None:
    assert read(dialect, (METHOD[dialect], "GET")) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", FORWARDED)
def test_a_path_told_twice_is_refused(dialect: str) -> None:
    assert read(dialect, (PATH[dialect], "/v1/keys?a=b")) is Code.INVALID_REQUEST


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("envoy", "x-envoy-original-path"),
        ("envoy", "x_envoy_original_path"),
        ("envoy", "x-envoy-original-method"),
        ("nginx", "x-original-url"),
        ("nginx", "x_original_url"),
        ("nginx", "x_original_uri"),
        ("nginx", "x-original_uri"),
        ("nginx", "x_original-uri"),
        ("nginx", "x_original_method"),
        ("traefik", "x_forwarded_method"),
        ("traefik", "x-forwarded_uri"),
        ("traefik", "x-forwarded-path"),
        ("traefik", "x-forwarded-url"),
        ("nginx", "x_forwarded_for"),
        ("nginx", "x_api_key"),
        ("nginx", "x_auth_scopes"),
        ("traefik", "x-auth_service-account"),
    ],
)
def test_another_header_that_may_mean_the_same_is_refused(dialect: str, name: str) -> None:
    assert read(dialect, (name, "/v1/keys?a=b")) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", TOLD)
@pytest.mark.parametrize("name", ["x-auth-scopes", "x-auth-key-id", "x-request-id", "cookie", "x-real-ip"])
def test_headers_that_the_proxy_replaces_or_that_nobody_reads_are_let_pass(dialect: str, name: str) -> None:
    assert read(dialect) == read(dialect, (name, "forged"))


def test_envoy_removes_the_other_spellings_of_an_identity_itself() -> None:
    assert read("envoy") == read("envoy", ("x_auth_scopes", "forged"))


@pytest.mark.parametrize(
    ("dialect", "name"),
    [("nginx", "x-forwarded-uri"), ("nginx", "x-forwarded-method"), ("traefik", "x-original-uri")],
)
def test_the_headers_of_another_dialect_tell_nothing(dialect: str, name: str) -> None:
    assert read(dialect) == read(dialect, (name, "/elsewhere"))


@pytest.mark.parametrize("dialect", FORWARDED)
def test_nobody_but_a_trusted_proxy_tells_a_method_or_a_path(dialect: str) -> None:
    assert read(dialect, peer=STRANGER) is Code.INVALID_REQUEST
    assert read(dialect, peer="") is Code.INVALID_REQUEST
    elsewhere = Proxies(trusted=(ipaddress.ip_network("203.0.113.0/24"),))
    assert isinstance(read(dialect, peer=STRANGER, proxies=elsewhere), Reading)
    assert read(dialect, peer=PROXY, proxies=elsewhere) is Code.INVALID_REQUEST


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_loopback_is_trusted_unless_told_otherwise(peer: str) -> None:
    assert isinstance(read("nginx", peer=peer), Reading)


@pytest.mark.parametrize("dialect", TOLD)
@pytest.mark.parametrize(
    "path", ["/v1//keys", "/v1/../keys", "/v1%2fkeys", "/v1;x/keys", "/v1/%252e", "v1", "//v1"]
)
def test_an_ambiguous_path_is_refused_whoever_tells_of_it(dialect: str, path: str) -> None:
    told = {} if dialect == "envoy" else {PATH[dialect]: path}
    assert read(dialect, own=path, changed=told) is Code.INVALID_PATH


def test_envoys_path_is_what_stands_behind_the_project() -> None:
    assert asked(read("envoy", own="/")).path == "/"
    assert asked(read("envoy", own="/a%20b")).path == "/a b"


URL = Proxies(nginx_path_header="x-original-url")


def url(value: str, *more: tuple[str, str]) -> Reading | Code:
    return read("nginx", ("x-original-url", value), *more, without="x-original-uri", proxies=URL)


def test_ingress_nginx_tells_a_whole_url() -> None:
    request = asked(url("https://api.example.com:8443/v1/keys?a=b?c"))
    assert ("/v1/keys", "a=b?c") == (request.path, request.query)


@pytest.mark.parametrize(
    "value",
    [
        "http://a?x=/secret",
        "/v1/keys",
        "http://u@h/x",
        "http://h#/x",
        "http://h/x#y",
        "http://h//x",
        "http://h",
    ],
)
def test_a_host_that_hides_the_path_is_refused(value: str) -> None:
    assert url(value) is Code.INVALID_PATH


def test_only_the_path_header_that_was_chosen_is_read() -> None:
    assert read("nginx", proxies=URL) is Code.INVALID_REQUEST
    assert url("http://h/v1", ("x-original-uri", "/v1")) is Code.INVALID_REQUEST


@pytest.mark.parametrize("dialect", TOLD)
def test_the_client_is_the_entry_that_the_proxy_appended(dialect: str) -> None:
    assert client(dialect, ("x-forwarded-for", "10.0.0.1, 192.0.2.1,198.51.100.7")) == "198.51.100.7"


@pytest.mark.parametrize("dialect", TOLD)
def test_behind_two_proxies_the_client_is_the_second_entry_from_the_right(dialect: str) -> None:
    two = Proxies(client_position=2)
    assert (
        client(dialect, ("x-forwarded-for", "10.0.0.1, 192.0.2.1, 198.51.100.7"), proxies=two) == "192.0.2.1"
    )


def test_an_entry_on_a_line_of_its_own_counts_as_one() -> None:
    lines = (("x-forwarded-for", "10.0.0.1"), ("x-forwarded-for", "198.51.100.7"))
    assert client("traefik", *lines) == "198.51.100.7"
    assert client("traefik", *lines, proxies=Proxies(client_position=2)) == "10.0.0.1"


@pytest.mark.parametrize("dialect", TOLD)
def test_with_fewer_entries_than_proxies_nobody_is_the_client(dialect: str) -> None:
    assert client(dialect) is None
    assert client(dialect, ("x-forwarded-for", "192.0.2.1"), proxies=Proxies(client_position=2)) is None


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "unknown",
        "192.0.2",
        "192.0.2.1:443",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "192.0.2.01",
        "1.2.3.4 x",
        "\xe9",
    ],
)
def test_garbage_names_no_client(entry: str) -> None:
    assert client("nginx", ("x-forwarded-for", f"192.0.2.1, {entry}")) is None


def test_what_a_stranger_says_of_the_client_is_not_believed() -> None:
    assert client("envoy", ("x-forwarded-for", "192.0.2.1"), peer=STRANGER) is None


def test_only_the_client_header_that_was_chosen_is_read() -> None:
    real = Proxies(client_header="X-Real-IP")
    both = (("x-forwarded-for", "192.0.2.1"), ("x-real-ip", "198.51.100.7"))
    assert client("nginx", *both, proxies=real) == "198.51.100.7"
    assert client("nginx", *both) == "192.0.2.1"
    assert client("nginx", ("x-forwarded-for", "192.0.2.1"), proxies=real) is None


def test_an_ipv4_address_is_the_same_in_ipv6() -> None:
    assert address(b"::ffff:192.0.2.1") == "192.0.2.1"
    assert address(b"::FFFF:c000:201") == "192.0.2.1"
    assert address(b"2001:DB8:0::1") == "2001:db8::1"


@pytest.mark.parametrize("dialect", TOLD)
@pytest.mark.parametrize(
    "name",
    [
        "x-http-method-override",
        "x-http-method",
        "x-method-override",
        "x_http_method_override",
        "x-rewrite-url",
    ],
)
def test_a_header_that_overrides_the_method_or_path_is_told_of(dialect: str, name: str) -> None:
    reading = read(dialect, (name, "DELETE"))
    assert isinstance(reading, Reading)
    assert reading.overridden


PREFLIGHT = (("origin", "https://app.example.com"), ("access-control-request-method", "PUT"))


def preflight(dialect: str, *headers: tuple[str, str], method: str = "OPTIONS") -> bool:
    told = {} if dialect == "envoy" else {METHOD[dialect]: method}
    reading = read(dialect, *headers, method=method, changed=told)
    assert isinstance(reading, Reading)
    return reading.preflight


@pytest.mark.parametrize("dialect", TOLD)
def test_a_browsers_own_question_is_told_of(dialect: str) -> None:
    assert preflight(dialect, *PREFLIGHT)


@pytest.mark.parametrize("dialect", TOLD)
def test_what_only_resembles_a_browsers_own_question_is_none(dialect: str) -> None:
    assert not preflight(dialect, *PREFLIGHT, method="GET")
    assert not preflight(dialect, *PREFLIGHT[:1])
    assert not preflight(dialect, *PREFLIGHT[1:])
    assert not preflight(dialect, *PREFLIGHT, ("authorization", "Basic x"))
    assert not preflight(dialect, *PREFLIGHT, ("x-api-key", "x"))
