"""Which reason is shown when several apply, and what each message tells a person to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from keywright.api.reasons import ReadyReason
from keywright.api.revocation import RevocationReason
from keywright.keys.facts import derive
from keywright.keys.policies import CHAIN, may_mint, objections, verdict
from world import Operator, Store, foreign_secret, new_project, new_store, seconds

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.keys.facts import Facts


def invalid(store: Store) -> None:
    store.edit({"rotation": {"schedule": "61 * * * *"}})


def revoked(store: Store) -> None:
    store.revoked_whole = RevocationReason.UNSPECIFIED


def expired(store: Store) -> None:
    store.edit({"expiresAt": "2026-01-01T00:00:00Z"})


def no_project(store: Store) -> None:
    store.project = None


def another_namespace(store: Store) -> None:
    project(store)["metadata"]["namespace"] = "elsewhere"


def another_type(store: Store) -> None:
    project(store)["spec"]["limits"] = {"allowedTypes": ["Development"]}


def another_scope(store: Store) -> None:
    store.edit({"scopes": ["nobody:knows"]})
    project(store)["spec"]["scopes"] = [{"name": "data:read"}]


def suspended(store: Store) -> None:
    store.edit({"suspend": True})


def project_suspended(store: Store) -> None:
    project(store)["spec"]["suspend"] = True


def conflict(store: Store) -> None:
    store.put_secret(foreign_secret())


def lost(store: Store) -> None:
    store.put_secret(None)


def project(store: Store) -> dict[str, Any]:
    assert store.project is not None
    return store.project


def unminted() -> Store:
    return new_store()


def minted() -> Store:
    store = new_store()
    Operator(store).run()
    return store


def facts_of(store: Store) -> Facts:
    return derive(Operator(store, number=1).look(), store.now)


def reason_of(store: Store) -> str:
    return verdict(facts_of(store), None).reason.value


ORDER: list[tuple[str, Callable[[Store], None]]] = [
    ("InvalidSpec", invalid),
    ("Revoked", revoked),
    ("Expired", expired),
    ("ProjectNotFound", no_project),
    ("NamespaceNotAllowed", another_namespace),
    ("TypeNotAllowed", another_type),
    ("ScopeNotAllowed", another_scope),
    ("Suspended", suspended),
    ("ProjectSuspended", project_suspended),
    ("SecretConflict", conflict),
    ("SecretLost", lost),
]


@pytest.mark.parametrize(("reason", "happens"), ORDER)
def test_each_reason_is_shown_when_it_alone_applies(reason: str, happens: Callable[[Store], None]) -> None:
    store = minted()
    happens(store)

    assert reason == reason_of(store)


@pytest.mark.parametrize("first", range(len(ORDER)))
@pytest.mark.parametrize("second", range(len(ORDER)))
def test_of_two_reasons_the_first_in_order_is_shown(first: int, second: int) -> None:
    if first >= second:
        return
    store = minted()
    pair = [ORDER[first], ORDER[second]]
    if {"SecretConflict", "SecretLost"} == {name for name, _ in pair}:
        return  # a Secret is either there or not
    for _, happens in sorted(pair, key=lambda row: row[1] is no_project):
        happens(store)

    assert ORDER[first][0] == reason_of(store)


def test_the_chain_is_in_the_order_of_the_reasons() -> None:
    names = [policy.__name__.removeprefix("_") for policy in CHAIN]

    assert ["invalid_spec", "revoked", "expired", "project_invalid", "not_granted"] == names[:5]
    assert ["not_admitted", "suspended", "secret_conflict", "secret_lost"] == names[5:]


@pytest.mark.parametrize(("reason", "happens"), [row for row in ORDER if row[0] != "SecretLost"])
def test_before_the_first_key_each_of_them_stops_the_mint(
    reason: str, happens: Callable[[Store], None]
) -> None:
    store = unminted()
    happens(store)

    assert not may_mint(facts_of(store)), reason


@pytest.mark.parametrize(("reason", "happens"), ORDER)
def test_after_it_only_those_stop_it_that_the_contract_names(
    reason: str, happens: Callable[[Store], None]
) -> None:
    goes_on = {"InvalidSpec", "TypeNotAllowed", "ScopeNotAllowed", "SecretLost"}
    store = minted()
    happens(store)

    assert (reason in goes_on) == may_mint(facts_of(store))


def test_a_quota_counts_only_before_the_first_key() -> None:
    for store, expected in ((unminted(), "QuotaExceeded"), (minted(), "Active")):
        project(store)["spec"]["limits"] = {"maxKeys": 1}
        seen = Operator(store, number=1).look()._replace(siblings=(1, 0))
        assert expected == verdict(derive(seen, store.now), None).reason.value


def test_a_project_that_cannot_be_read_stops_rotation_and_says_so() -> None:
    store = minted()
    seen = Operator(store, number=1).look()._replace(project=None, project_readable=False)
    facts = derive(seen, store.now)

    assert ReadyReason.PROJECT_INVALID is verdict(facts, None).reason
    assert not may_mint(facts)


def test_a_terminating_namespace_stops_every_mint() -> None:
    seen = Operator(minted(), number=1).look()
    assert not may_mint(derive(seen._replace(namespace_terminating=True), new_store().now + seconds(60)))


@pytest.mark.parametrize(
    ("happens", "field", "remedy"),
    [
        (invalid, "spec.rotation.schedule", "write five cron fields"),
        (expired, "spec.expiresAt", "write a later time"),
        (no_project, "spec.projectRef", "create it"),
        (another_namespace, "spec.projectRef", "allowedNamespaces"),
        (another_type, "spec.type", "allowedTypes"),
        (another_scope, "spec.scopes", "add it to the Project"),
        (suspended, "spec.suspend", "false"),
        (project_suspended, "spec.projectRef", "spec.suspend"),
        (conflict, "spec.secret.name", "delete"),
        (revoked, "Revocation", "create another one"),
    ],
)
def test_a_message_names_the_field_and_the_remedy(
    happens: Callable[[Store], None], field: str, remedy: str
) -> None:
    store = minted()
    happens(store)

    message = objections(facts_of(store))[0].message

    assert field in message
    assert remedy in message


def test_a_default_of_the_project_is_named_as_such() -> None:
    store = minted()
    store.project = new_project({"defaults": {"rotation": {"schedule": "never"}}})

    assert "spec.defaults.rotation" in objections(facts_of(store))[0].message


def test_a_key_that_ended_before_its_next_rotation_says_when_that_comes() -> None:
    store = new_store({"expiresAfter": "1m", "rotation": {"schedule": "0 0 * * *"}})
    operator = Operator(store, number=0)
    operator.run()
    store.now += seconds(90)
    operator.run()

    message = next(c["message"] for c in store.status["conditions"] if c["type"] == "Ready")

    assert "Expired" == store.ready()
    assert f"the next rotation is at {store.status['nextRotationTime']}" in message
    assert "no rotation is due" not in message
