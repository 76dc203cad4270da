"""Which route a request meets, and what it then needs."""

from __future__ import annotations

from typing import Any

import pytest

from keywright.api.project import ProjectSpec
from keywright.decision.routes import Need, Routes


def routes(*listed: dict[str, Any], **spec: Any) -> Routes:
    return Routes(ProjectSpec.model_validate({"routes": listed, **spec}))


def scopes(table: Routes, path: str, method: str = "GET") -> tuple[str, ...] | None:
    need = table.need(method, path)
    return None if need is None else need.scopes


TABLE = routes(
    {"path": "/", "scopes": ["root"]},
    {"path": "/v1/*", "scopes": ["rest"]},
    {"path": "/v1/{x}", "scopes": ["one"]},
    {"path": "/v1/keys/", "scopes": ["literal"]},
    {"path": "/v1/{x}/uses", "scopes": ["uses"]},
    {"path": "/v1/keys/{id}", "scopes": ["id"], "methods": ["GET"]},
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "root"),
        ("/v1/keys", "literal"),
        ("/v1/keys/", "literal"),
        ("/v1/other", "one"),
        ("/v1/keys/7", "id"),
        ("/v1/keys/uses", "id"),
        ("/v1/other/uses", "uses"),
        ("/v1/other/deep/er", "rest"),
        ("/v1/keys/7/8", "rest"),
    ],
)
def test_segment_by_segment_a_literal_beats_a_parameter_and_that_beats_the_rest(
    path: str, expected: str
) -> None:
    assert (expected,) == scopes(TABLE, path)


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v2", "/V1/keys"])
def test_the_rest_is_one_segment_or_more_and_case_counts(path: str) -> None:
    assert scopes(TABLE, path) is None


def test_a_route_of_another_method_does_not_stand_in_the_way_of_one_that_is_less_literal() -> None:
    assert ("uses",) == scopes(TABLE, "/v1/keys/uses", "POST")
    assert ("rest",) == scopes(TABLE, "/v1/keys/7", "DELETE")


def test_head_is_served_as_get() -> None:
    table = routes({"path": "/a", "methods": ["GET"], "scopes": ["read"]})
    assert ("read",) == scopes(table, "/a", "HEAD")
    assert scopes(table, "/a", "POST") is None


def test_of_the_same_method_and_path_twice_all_scopes_must_hold() -> None:
    table = routes(
        {"path": "/a/{x}", "methods": ["GET"], "scopes": ["read"], "anyScopes": ["p", "q"]},
        {"path": "/a/{y}/", "scopes": ["all"]},
        {"path": "/a/{z}", "methods": ["HEAD"], "scopes": ["head"]},
    )
    assert ("read", "all") == scopes(table, "/a/1")
    assert ("read", "all", "head") == scopes(table, "/a/1", "HEAD")
    assert ("all",) == scopes(table, "/a/1", "PUT")
    need = table.need("GET", "/a/1")
    assert need is not None
    assert (("p", "q"),) == need.any_scopes
    assert ("read", "all", "p", "q") == need.named


def public(table: Routes, path: str) -> bool:
    need = table.need("GET", path)
    return need is not None and need.public


def test_a_public_route_beside_one_that_is_not_is_not_public() -> None:
    table = routes(
        {"path": "/a", "public": True}, {"path": "/a", "methods": ["GET"]}, {"path": "/b", "public": True}
    )
    assert (False, True) == (public(table, "/a"), public(table, "/b"))


def test_a_public_route_that_has_scopes_all_the_same_needs_them() -> None:
    table = routes({"path": "/a", "public": True, "scopes": ["read"]})
    assert not public(table, "/a")
    assert ("read",) == scopes(table, "/a")


def test_what_no_route_matches_is_denied_where_there_are_routes_and_else_allowed_unless_told_otherwise() -> (
    None
):
    assert routes({"path": "/a"}).need("GET", "/b") is None
    assert routes().need("GET", "/b") is not None
    assert routes(unmatchedRoutes="Deny").need("GET", "/b") is None
    found = routes({"path": "/a", "scopes": ["read"]}, unmatchedRoutes="Allow").need("GET", "/b")
    assert isinstance(found, Need)
    assert ((), False) == (found.scopes, found.public)


def test_a_path_that_cannot_be_is_no_mistake_of_the_table() -> None:
    for path in ("", "*", "//", "/a//b"):
        assert scopes(TABLE, path) in {None, ("root",)}
