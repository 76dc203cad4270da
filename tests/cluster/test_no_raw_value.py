"""A raw value stands in its Secret's data and nowhere else; the last test of all looks wherever others wrote.

Searched is for every value that any Secret held during the run, in plain, base64 and hex, and for any twelve
characters of its secret part.
"""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from harness import audit
from harness.leaks import found
from harness.team import ROTATE
from harness.waiting import until
from keywright.api.project import KeyType
from keywright.keys import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api
    from harness.leaks import Leaks
    from harness.operator import Operator
    from harness.team import Team

OWN = 20
"""So many keys are minted here, for a run of this file alone."""


@pytest.fixture(scope="module")
def harvest(operator: Operator, make_team: Callable[[], Team], leaks: Leaks) -> Leaks:
    """Every value of the run, some of this file among them."""
    assert operator.process.poll() is None
    team = make_team()
    seen = set()
    for number in range(OWN // 2):
        name = f"key-{number}"
        team.minted(
            name, rotation={"policy": "Never", "overlap": "1h"}, secret={"data": {"e": "x=$(API_KEY)"}}
        )
        seen.add(team.value(name))
        team.annotate({ROTATE: "a"}, name)
        team.until_revision(2, name)
        seen.add(team.value(name))
    until(lambda: len(seen - leaks.values), lambda missing: missing == 0, what="every value is known")
    return leaks


def written_by(planted: str) -> Iterator[str]:
    """Yield how a value might be written where it does not belong."""
    encoded = planted.encode()
    yield planted
    yield json.dumps({"message": f"got {planted}"})
    yield quote(f"key={planted}&x")
    for around in ("", "x", "xy", "Authorization: Bearer "):
        yield base64.b64encode(around.encode() + encoded + b"...").decode()
        yield base64.urlsafe_b64encode(around.encode() + encoded).decode()
    yield encoded.hex()
    yield encoded.hex().upper()
    yield planted[-49:-37]
    yield planted[-12:]


@pytest.mark.parametrize("shift", range(8))
def test_the_search_finds_what_was_planted(shift: int) -> None:
    values = {raw.mint("kw", KeyType.PRODUCTION).value for _ in range(50)}
    planted = min(values)
    for written in written_by(planted):
        text = "z" * (1000 + shift) + " " + written + " " + "z" * 1000
        assert {planted.split("_")[-2]} == found(values, text), written


def test_the_search_takes_nothing_else_for_a_value() -> None:
    values = {raw.mint("kw", KeyType.PRODUCTION).value for _ in range(500)}
    others = [raw.mint("kw", KeyType.PRODUCTION) for _ in range(500)]
    public = [value.rpartition("_")[0] + " " + raw.parse(value).digest for value in values]
    assert set() == found(values, " ".join([*public, *(other.value for other in others)]))


def test_enough_values_were_harvested(harvest: Leaks) -> None:
    assert len(harvest.values) >= OWN


def test_no_value_is_in_the_logs_of_any_operator(harvest: Leaks, logs: Path) -> None:
    files = sorted(logs.glob("*.log"))
    text = "\n".join(file.read_text(errors="replace") for file in files)
    assert '"level": "debug"' in text, "logs that tell of nothing prove nothing"
    assert '"event_reason": "Minted"' in text
    assert set() == harvest.found_in(text)


@pytest.mark.parametrize("kind", ["ApiKey", "Project", "Revocation", "Event"])
def test_no_value_is_in_any_object(harvest: Leaks, admin: Api, kind: str) -> None:
    objects = admin.list(kind)
    assert kind == "Revocation" or objects
    versions = harvest.told[kind]
    what = "every version of the run is known, of what is gone by now as well"
    until(lambda: len(versions), lambda count: count >= len(objects), what=what)
    assert set() == harvest.found_in(json.dumps(objects) + "\n".join(versions))


def test_no_value_is_in_the_metadata_of_any_secret(harvest: Leaks, admin: Api) -> None:
    secrets: list[dict[str, Any]] = admin.list("Secret")
    assert len([secret for secret in secrets if secret["type"] == "keywright.dev/api-key"]) >= OWN // 2
    metadata = json.dumps([secret["metadata"] for secret in secrets])
    assert set() == harvest.found_in(metadata + "\n".join(harvest.told["Secret"]))
    foreign = [secret for secret in secrets if secret["type"] != "keywright.dev/api-key"]
    assert set() == harvest.found_in(json.dumps(foreign))


def test_no_value_is_in_the_metrics(harvest: Leaks, operator: Operator) -> None:
    assert set() == harvest.found_in(operator.get("/metrics"))


def test_no_value_is_in_the_audit_log(harvest: Leaks, audit_log: Path | None) -> None:
    if audit_log is None:
        pytest.skip("the cluster's audit log is out of reach")
    text = "\n".join(_without_policies(audit_log))
    assert "system:serviceaccount:keywright-system:keywright-operator" in text
    assert set() == harvest.found_in(text)


def _without_policies(audit_log: Path) -> Iterator[str]:
    """Yield the lines of the audit log without what admission policies say.

    A policy whose message quotes a Secret (test_refused_writes.py has one) thereby writes it there itself:
    into an annotation of its own and into the status of the refusal.
    """
    for line in audit.lines(audit_log):
        if "ValidatingAdmissionPolicy" not in line:
            yield line
            continue
        entry = json.loads(line)
        yield json.dumps({**entry, "annotations": None, "responseStatus": None})
