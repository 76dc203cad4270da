"""Records of revocation go by themselves, long after their key could have been valid."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from harness import manifests
from harness.team import Team, generations, ready
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from harness.api import Api, Object
    from harness.operator import Operator

pytestmark = pytest.mark.usefixtures("operator")

PAST = timedelta(days=31)


@pytest.fixture
def write(admin: Api, team: Team, system_namespace: str) -> Iterator[Callable[..., str]]:
    """Write a Revocation into the system namespace, as the operator does unless told otherwise."""
    written: list[str] = []

    def write(
        name: str, *, age: timedelta, managed: bool = True, place: str = system_namespace, **spec: Any
    ) -> str:
        until_ = (datetime.now(UTC) - age).strftime("%Y-%m-%dT%H:%M:%SZ")
        annotations = {
            "keywright.dev/api-key": f"{team.namespace}/checkout",
            "keywright.dev/project": f"{team.namespace}/payments",
            "keywright.dev/until": until_,
        }
        labels = {"app.kubernetes.io/managed-by": "keywright"} if managed else {}
        metadata = {"name": name, "namespace": place, "labels": labels, "annotations": annotations}
        admin.create(
            {
                "apiVersion": manifests.API_VERSION,
                "kind": "Revocation",
                "metadata": metadata,
                "spec": spec or {"keyID": name.removeprefix("k-")},
            }
        )
        written.append(name)
        return name

    yield write
    for name in written:
        admin.delete("Revocation", name, system_namespace)


def until_gone(admin: Api, name: str, namespace: str) -> None:
    until(lambda: admin.find("Revocation", name, namespace), lambda found: found is None, what=f"{name} went")


def standing(admin: Api, name: str, namespace: str) -> Object:
    """Wait until the operator has looked at a Revocation, which still stands."""
    return until(lambda: admin.get("Revocation", name, namespace), ready)


def test_a_record_goes_thirty_days_after_its_key_could_have_been_valid(
    admin: Api, write: Callable[..., str], operator: Operator, system_namespace: str
) -> None:
    young, old = write("k-" + "y" * 16, age=timedelta(days=29)), write("k-" + "x" * 16, age=PAST)
    until_gone(admin, old, system_namespace)
    assert ready(standing(admin, young, system_namespace)) == "InForce"
    until(
        lambda: [line["key_id"] for line in operator.lines() if line["event"] == "Pruned a record"],
        lambda pruned: pruned == ["x" * 16],
        what="the log tells of it",
    )


def test_what_a_person_wrote_stays(
    admin: Api, team: Team, write: Callable[..., str], system_namespace: str
) -> None:
    mine = write("old-leak", age=PAST, managed=False, keyID="p" * 16)
    elsewhere = write("k-" + "q" * 16, age=PAST, place=team.namespace)
    probe = write("k-" + "r" * 16, age=PAST)
    standing(admin, mine, system_namespace)
    standing(admin, elsewhere, team.namespace)
    until_gone(admin, probe, system_namespace)
    assert admin.find("Revocation", mine, system_namespace)
    assert admin.find("Revocation", elsewhere, team.namespace)


def test_a_record_stays_while_an_api_key_names_its_key(
    admin: Api, team: Team, write: Callable[..., str], operator: Operator, system_namespace: str
) -> None:
    key_id = team.minted(expiresAfter="24h")["status"]["currentKeyID"]
    record = write(f"k-{key_id}", age=PAST)
    assert generations(team.until_revision(2))[1]["state"] == "Revoked"
    standing(admin, record, system_namespace)
    probe = write("k-" + "s" * 16, age=PAST)
    until_gone(admin, probe, system_namespace)
    assert admin.find("Revocation", record, system_namespace), (
        "its stamp lies in the future, whatever `until` says"
    )

    team.delete()
    team.until_gone()
    operator.kill()
    operator.start().until_ready()
    until_gone(admin, record, system_namespace)


def test_the_record_of_a_whole_api_key_stays_as_long_as_that_one(
    admin: Api, team: Team, write: Callable[..., str], operator: Operator, system_namespace: str
) -> None:
    uid = team.create(suspend=True)["metadata"]["uid"]
    ref = {"name": "checkout", "namespace": team.namespace}
    record = write(f"a-{uid}", age=PAST, apiKeyRef=ref)
    team.until_ready(reason="Revoked")
    standing(admin, record, system_namespace)
    probe = write("k-" + "t" * 16, age=PAST)
    until_gone(admin, probe, system_namespace)
    assert admin.find("Revocation", record, system_namespace)

    team.delete()
    team.until_gone()
    operator.kill()
    operator.start().until_ready()
    until_gone(admin, record, system_namespace)
