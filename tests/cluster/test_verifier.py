"""The verifier on the real API server: what the operator, a person or an outage does, seen by a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import rbac
from cluster.conftest import ensure
from harness.proxy import Answer, Proxy
from harness.team import Team
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api
    from harness.operator import Operator
    from harness.verifier import Verifier


@pytest.fixture
def proxy(admin: Api) -> Iterator[Proxy]:
    made = Proxy(admin)
    yield made
    made.stop()


def test_a_key_is_good_from_its_secret_on_until_it_is_not(
    admin: Api, team: Team, operator: Operator, start_verifier: Callable[..., Verifier]
) -> None:
    verifier = start_verifier().until_ready()
    project = f"{team.namespace}/payments"
    team.minted(scopes=["data:read"])
    old = team.value()
    allowed = verifier.ask(project, old)
    assert (200, f"{team.namespace}/checkout") == (allowed.status, allowed.headers["x-auth-api-key"])
    assert (401, "unauthorized") == verifier.ask(project, None)[:2]
    assert (401, "invalid_api_key") == verifier.ask(project, old[:-1] + "?")[:2]

    team.annotate({"keywright.dev/rotate": "now"})
    team.until_revision(2)
    new = team.value()
    assert [200, 200] == [verifier.ask(project, key).status for key in (old, new)], "during the overlap"

    team.edit(suspend=True)
    until(lambda: verifier.ask(project, new)[:2], lambda seen: seen == (403, "disabled_api_key"))
    team.edit(suspend=False)
    until(lambda: verifier.ask(project, new).status, lambda seen: seen == 200)
    admin.patch("Project", "payments", team.namespace, {"spec": {"suspend": True}})
    until(lambda: verifier.ask(project, new)[:2], lambda seen: seen == (403, "project_suspended"))
    admin.patch("Project", "payments", team.namespace, {"spec": {"suspend": False}})
    until(lambda: verifier.ask(project, new).status, lambda seen: seen == 200)

    team.delete()
    until(lambda: verifier.ask(project, new).status, lambda seen: seen == 401)
    team.until_gone()
    assert 401 == verifier.ask(project, new).status


def test_a_revocation_holds_with_no_operator_there_and_after_it_is_deleted(
    admin: Api,
    team: Team,
    start_operator: Callable[..., Operator],
    start_verifier: Callable[..., Verifier],
) -> None:
    operator = start_operator().until_ready()
    team.minted()
    operator.kill()
    verifier = start_verifier().until_ready()
    project, key = f"{team.namespace}/payments", team.value()
    assert 200 == verifier.ask(project, key).status
    team.revoke("leaked", keyID=key.split("_")[2])
    until(lambda: verifier.ask(project, key)[:2], lambda seen: seen == (401, "revoked_api_key"))
    admin.delete("Revocation", "leaked", team.namespace)
    until(lambda: admin.find("Revocation", "leaked", team.namespace), lambda found: found is None)

    assert (401, "revoked_api_key") == verifier.ask(project, key)[:2]


def test_what_it_does_not_know_yet_it_does_not_decide(
    team: Team, operator: Operator, start_verifier: Callable[..., Verifier], proxy: Proxy
) -> None:
    proxy.instead = lambda _method, path: Answer(503) if "revocations" in path else None
    verifier = start_verifier(server=proxy.url)
    team.minted()
    project, key = f"{team.namespace}/payments", team.value()
    assert (503, "not_ready") == verifier.ask(project, key)[:2]
    assert 503 == verifier.ready()
    proxy.instead = lambda _method, _path: None
    verifier.until_ready()
    assert 200 == verifier.ask(project, key).status


def test_an_api_server_that_is_silent_is_not_believed_for_long_and_then_caught_up_with(
    team: Team, operator: Operator, start_verifier: Callable[..., Verifier], proxy: Proxy
) -> None:
    verifier = start_verifier("--max-staleness=30s", server=proxy.url).until_ready()
    team.minted()
    project, key = f"{team.namespace}/payments", team.value()
    until(lambda: verifier.ask(project, key).status, lambda status: status == 200)
    proxy.cut()
    team.edit(suspend=True)
    until(lambda: verifier.ask(project, key)[:2], lambda seen: seen == (503, "not_ready"))
    proxy.heal()
    verifier.until_ready()
    assert (403, "disabled_api_key") == verifier.ask(project, key)[:2]


def test_for_listed_namespaces_it_knows_these_and_records_of_the_system_namespace(
    admin: Api,
    team: Team,
    make_team: Callable[[], Team],
    system_namespace: str,
    operator: Operator,
    start_verifier: Callable[..., Verifier],
) -> None:
    other = make_team()
    values = {"namespaces": [team.namespace], "verifier": {"enabled": True}}
    for obj in rbac.rbac(release="listed", namespace=system_namespace, values=values):
        ensure(admin, obj)
    verifier = start_verifier(f"--namespaces={team.namespace}", account="listed-verifier").until_ready()
    team.minted()
    other.minted()
    project, key = f"{team.namespace}/payments", team.value()
    until(lambda: verifier.ask(project, key).status, lambda status: status == 200)
    assert (403, "project_not_found") == verifier.ask(f"{other.namespace}/payments", other.value())[:2]
    Team(admin, system_namespace).revoke(f"leaked-{team.namespace}", keyID=key.split("_")[2])
    until(lambda: verifier.ask(project, key)[:2], lambda seen: seen == (401, "revoked_api_key"))
