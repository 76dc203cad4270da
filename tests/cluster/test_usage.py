"""When keys were last used: from a verifier into a status on the real API server, and how rarely."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

import rbac
from cluster.conftest import ensure
from harness.account import write_kubeconfig
from harness.team import ROTATE, generations, value_in
from harness.usage import TOKEN, Given, UsagePort
from harness.waiting import until
from harness.writes import Writes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api, Object
    from harness.operator import Operator
    from harness.team import Team
    from harness.verifier import Verifier

SCRAPING = "scraping-operator"
SERVICE = "scraping-verifier-usage"
USER = f"system:serviceaccount:keywright-system:{SCRAPING}"
SEVERAL_READS = 6.0
"""Seconds for some rounds of the second that these operators take, and the writes after them."""
BROKEN = "the usage of a verifier cannot be read"
HUGE = b'{"keys":[' + b"[]," * 3_000_000


@pytest.fixture
def port() -> Iterator[UsagePort]:
    """A verifier's operations port."""
    serving = UsagePort()
    yield serving
    serving.stop()


@pytest.fixture
def token_file(tmp_path: Path) -> Path:
    """The token that it takes."""
    file = tmp_path / "token"
    file.write_text(TOKEN)
    return file


@pytest.fixture
def scraping_kubeconfig(admin: Api, system_namespace: str, tmp_path: Path) -> Path:
    """A kubeconfig of the ServiceAccount that the chart makes with usage.tokenSecret."""
    values = {"usage": {"tokenSecret": "usage"}}
    for obj in rbac.rbac(release="scraping", namespace=system_namespace, values=values):
        ensure(admin, obj)
    file = tmp_path / "scraping"
    write_kubeconfig(file, admin, system_namespace, SCRAPING)
    return file


@pytest.fixture
def scraping(
    start_operator: Callable[..., Operator],
    scraping_kubeconfig: Path,
    token_file: Path,
    team: Team,
) -> Iterator[Callable[..., Operator]]:
    """Start operators of the team's namespace that read usage each second, and end them."""
    running: list[Operator] = []

    def start(*arguments: str) -> Operator:
        running.append(
            start_operator(
                f"--namespaces={team.namespace}",
                f"--usage-token-file={token_file}",
                "--usage-interval=1s",
                *arguments,
                kubeconfig=scraping_kubeconfig,
            )
        )
        return running[-1]

    yield start
    assert [0] * len(running) == [operator.stop() for operator in running]


def now(ago: float = 0.0) -> datetime:
    return datetime.now(UTC) - timedelta(seconds=ago)


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def last_used(obj: Object) -> tuple[Any, list[Any]]:
    """Return what the status tells: of the ApiKey, and of each of its keys, the newest first."""
    return obj["status"].get("lastUsedAt"), [one.get("lastUsedAt") for one in generations(obj)]


def said(operator: Operator, event: str) -> list[dict[str, Any]]:
    return [line for line in operator.lines() if line["event"] == event]


def test_a_use_that_a_verifier_allowed_stands_in_the_status(
    scraping: Callable[..., Operator],
    start_verifier: Callable[..., Verifier],
    team: Team,
    token_file: Path,
) -> None:
    verifier = start_verifier(f"--usage-token-file={token_file}").until_ready()
    scraping(f"--usage-url={verifier.ops_url}").until_ready()
    team.minted(scopes=["data:read"])
    until(lambda: verifier.ask(f"{team.namespace}/payments", team.value()).status, lambda seen: seen == 200)
    until(lambda: last_used(team.get())[0], bool)


def test_a_first_use_is_told_within_a_moment_by_one_write_and_the_next_not_within_the_hour(
    scraping: Callable[..., Operator], team: Team, port: UsagePort, audit_log: Path | None
) -> None:
    operator = scraping(f"--usage-url={port.url}").until_ready()
    writes = Writes(operator, audit_log, USER)
    made = team.minted()
    assert (None, [None]) == last_used(made)
    minting = until(writes.counted, lambda seen: len(seen) >= 4)
    first = now()
    port.use(made, first)
    told = team.until(lambda obj: "lastUsedAt" in obj["status"], seconds=60)
    assert (stamp(first), [stamp(first)]) == last_used(told)
    same = {**told["status"], "lastUsedAt": None, "keys": [{**told["status"]["keys"][0], "lastUsedAt": None}]}
    before = {**made["status"], "lastUsedAt": None}
    assert {**before, "keys": [{**before["keys"][0], "lastUsedAt": None}]} == same
    port.use(made, now())
    time.sleep(SEVERAL_READS)
    assert told == team.get()
    assert [*minting, "update apikeys/status"] == writes.counted()


def test_requests_through_several_verifiers_are_told_with_the_newest(
    scraping: Callable[..., Operator],
    start_verifier: Callable[..., Verifier],
    team: Team,
    token_file: Path,
) -> None:
    verifiers = [start_verifier(f"--usage-token-file={token_file}").until_ready() for _ in range(2)]
    operator = scraping(*(f"--usage-url={one.ops_url}" for one in verifiers)).until_ready()
    made = team.minted()
    project, value = f"{team.namespace}/payments", value_in(team.secret())
    for one in verifiers:
        until(lambda one=one: one.ask(project, value).status, lambda status: status == 200)  # type: ignore[misc]
    told = team.until(lambda obj: "lastUsedAt" in obj["status"], seconds=60)
    assert told["status"]["lastUsedAt"] >= made["status"]["keys"][0]["createdAt"]

    until(now, lambda moment: stamp(moment) > told["status"]["lastUsedAt"])
    assert 200 == verifiers[1].ask(project, value).status
    time.sleep(SEVERAL_READS)
    newest = team.looked_at()["status"]["lastUsedAt"]
    assert told["status"]["lastUsedAt"] < newest <= stamp(now())
    assert 2 == operator.metric("keywright_usage_verifiers")
    assert 0 == operator.metric("keywright_usage_records_ignored_total")
    assert [] == _broken(operator)
    assert value not in operator.log.read_text()


def test_another_token_than_the_verifiers_is_told_as_that(
    scraping: Callable[..., Operator],
    start_verifier: Callable[..., Verifier],
    token_file: Path,
    tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.write_text("another-token")
    verifier = start_verifier(f"--usage-token-file={other}").until_ready()
    silent = start_verifier().until_ready()
    operator = scraping(f"--usage-url={verifier.ops_url}", f"--usage-url={silent.ops_url}").until_ready()
    until(lambda: len(_broken(operator)), lambda count: count == 2)
    why = {line["verifier"]: line["why"] for line in said(operator, BROKEN)}
    assert "it does not take the token: give both the same --usage-token-file" in why[verifier.ops_url]
    assert "it has no /usage there" in why[silent.ops_url]
    other.write_text(TOKEN)
    until(lambda: operator.metric('keywright_usage_reads_total{outcome="ok"}'), lambda count: count > 0)


def test_what_is_written_for_another_reason_tells_the_newest_use(
    scraping: Callable[..., Operator], team: Team, port: UsagePort
) -> None:
    operator = scraping(f"--usage-url={port.url}").until_ready()
    made = team.minted()
    port.use(made, now(30))
    team.until(lambda obj: "lastUsedAt" in obj["status"])
    newest = now(1)
    port.use(made, newest)
    reads = operator.metric('keywright_usage_reads_total{outcome="ok"}')
    until(
        lambda: operator.metric('keywright_usage_reads_total{outcome="ok"}'), lambda seen: seen >= reads + 2
    )
    assert (stamp(newest), [stamp(newest)]) == last_used(team.looked_at())


def test_the_use_of_an_old_key_is_told_each_minute_until_it_ends(
    scraping: Callable[..., Operator], team: Team, port: UsagePort
) -> None:
    operator = scraping(f"--usage-url={port.url}").until_ready()
    old = team.minted(rotation={"policy": "Never", "overlap": "1h"})
    team.annotate({ROTATE: "now"})
    team.until_revision(2)
    [retiring] = generations(team.get(), "Retiring")
    since = datetime.fromisoformat(retiring["retiringSince"])
    until(now, lambda moment: moment > since + timedelta(seconds=1))
    port.use(old, first := now(), retiring["id"])
    told = team.until(lambda obj: "lastUsedAt" in obj["status"])
    assert (stamp(first), [None, stamp(first)]) == last_used(told)
    assert 1 == operator.metric('keywright_retiring_keys_in_use{ending="false"}')

    time.sleep(10)
    port.use(old, second := now(), retiring["id"])
    told = team.until(lambda obj: last_used(obj)[0] != stamp(first))
    assert (stamp(second), [None, stamp(second)]) == last_used(told)
    assert 60 <= (now() - first.replace(microsecond=0)).total_seconds() < 80


def test_of_two_replicas_only_the_one_that_leads_asks(
    admin: Api, system_namespace: str, scraping: Callable[..., Operator], team: Team, port: UsagePort
) -> None:
    flags = ("--leader-elect", "--lease-name=scraping-operator", f"--usage-url={port.url}")
    leader = scraping(*flags).until_ready()
    until(lambda: leader.metric("keywright_usage_verifiers"), lambda count: count == 1)
    standby = scraping(*flags).until_ready()
    port.use(team.minted(), now())
    team.until(lambda obj: "lastUsedAt" in obj["status"])
    assert 0 == standby.metric('keywright_usage_reads_total{outcome="ok"}')
    assert leader.stop() == 0
    until(lambda: standby.metric('keywright_usage_reads_total{outcome="ok"}'), lambda count: count > 0)
    admin.delete("Lease", "scraping-operator", system_namespace)


def test_broken_and_hostile_verifiers_cost_a_line_each_and_hinder_nothing(
    scraping: Callable[..., Operator], team: Team, port: UsagePort
) -> None:
    misbehaviours = (
        Given(body=b"<html>no</html>"),
        Given(401),
        Given(302, headers=(("Location", "http://127.0.0.1:9/usage"),)),
        Given(body=HUGE),
        Given(body=b"[" * 1_000_000),
        Given(body=b" " * 64, pause=2.0),
        Given(body=b'{"boot":"b","mark":1,"next":null,"keys":[{},null,{"apiKey":{}}]}'),
    )
    bad = [UsagePort() for _ in misbehaviours]
    for one, given in zip(bad, misbehaviours, strict=True):
        one.misbehaves = lambda given=given: given
    nobody = "http://127.0.0.1:9"
    urls = [*(one.url for one in bad), nobody, port.url]
    operator = scraping(*(f"--usage-url={url}" for url in urls)).until_ready()
    made = team.minted()
    port.use(made, at := now())
    told = team.until(lambda obj: "lastUsedAt" in obj["status"], seconds=60)
    assert stamp(at) == told["status"]["lastUsedAt"]
    until(lambda: len(_broken(operator)), lambda count: count >= len(urls) - 2, seconds=60)
    time.sleep(SEVERAL_READS)
    assert sorted(set(urls) - {bad[-1].url, port.url}) == sorted(_broken(operator)), "one line each"
    assert operator.metric("keywright_usage_records_ignored_total") >= 3
    team.minted("another")
    assert operator.get("/healthz") == "ok\n"
    assert TOKEN not in operator.log.read_text()
    for one in bad:
        one.stop()


def _broken(operator: Operator) -> list[str]:
    return [line["verifier"] for line in said(operator, BROKEN)]


def test_verifiers_are_found_by_the_endpoints_of_their_service(
    admin: Api, system_namespace: str, scraping: Callable[..., Operator], team: Team
) -> None:
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {
            "name": f"{SERVICE}-abcde",
            "namespace": system_namespace,
            "labels": {"kubernetes.io/service-name": SERVICE},
        },
        "addressType": "IPv4",
        "ports": [{"name": "ops", "port": 8082, "protocol": "TCP"}],
        # Of TEST-NET-1: nobody answers there.
        "endpoints": [{"addresses": ["192.0.2.1"], "conditions": {"ready": True}}],
    }
    operator = scraping(f"--usage-service={SERVICE}").until_ready()
    admin.create(endpoints)
    until(lambda: _broken(operator), bool, seconds=60)
    assert ["http://192.0.2.1:8082"] == _broken(operator)
    assert 1 == operator.metric("keywright_usage_verifiers")
    admin.delete("EndpointSlice", f"{SERVICE}-abcde", system_namespace)
    until(lambda: operator.metric("keywright_usage_verifiers"), lambda count: count == 0)
    assert team.minted()


def test_without_the_right_to_find_them_it_says_so_and_goes_on(
    scraping: Callable[..., Operator], team: Team
) -> None:
    operator = scraping("--usage-service=elsewhere/verifiers").until_ready()
    [line] = until(lambda: said(operator, "no verifier is asked for usage"), bool)
    assert (
        "endpointslices may not be listed in the namespace elsewhere: grant that, "
        "or name the verifiers with --usage-url" == line["why"]
    )
    assert team.minted()
