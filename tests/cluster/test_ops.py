"""The operator as a process: its ops port, its exit codes, and what it refuses to start with."""

from __future__ import annotations

import subprocess
import time
import urllib.error
from typing import TYPE_CHECKING

import pytest

from harness.operator import KEYWRIGHT
from harness.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.operator import Operator
    from harness.team import Team

PROMISED = {
    "keywright_build_info",
    "keywright_api_requests_total",
    "keywright_queue_depth",
    "keywright_queue_oldest_seconds",
    "keywright_reconcile_duration_seconds_count",
    "keywright_mints_total",
    "keywright_rotations_total",
    "keywright_apikey_ready_duration_seconds_count",
    "keywright_apikeys",
    "keywright_keys",
    "keywright_projects",
    "keywright_revocations",
    "keywright_rotations_overdue",
    "keywright_leader",
    "keywright_clock_skew_seconds",
    "process_resident_memory_bytes",
}


@pytest.fixture
def start(start_operator: Callable[..., Operator]) -> Iterator[Callable[..., Operator]]:
    """Start operators that end with the test."""
    started: list[Operator] = []

    def begin(*arguments: str) -> Operator:
        started.append(start_operator(*arguments))
        return started[-1]

    yield begin
    for one in started:
        one.stop()


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command where it is to end by itself."""
    command = [str(KEYWRIGHT), "operator", "--ops-port=0", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)


def last_line(ended: subprocess.CompletedProcess[str]) -> str:
    """Return what a person sees last."""
    return (ended.stderr.splitlines() or [""])[-1]


def test_a_ready_operator_says_so_and_counts_what_it_does(start: Callable[..., Operator], team: Team) -> None:
    operator = start(f"--namespaces={team.namespace}").until_ready()
    team.minted()
    assert operator.get("/healthz") == "ok\n"
    assert operator.get("/readyz") == "ok\n"
    until(lambda: operator.metric('keywright_mints_total{cause="First"}'), lambda count: count == 1)
    samples = [line for line in operator.get("/metrics").splitlines() if not line.startswith("#")]
    names = {line.partition("{")[0].partition(" ")[0] for line in samples}
    assert names >= PROMISED
    created = 'keywright_api_requests_total{code="201",resource="secrets",verb="create"}'
    assert operator.metric(created) >= 1
    assert abs(operator.metric("keywright_clock_skew_seconds")) < 30


def test_no_metric_names_an_object(start: Callable[..., Operator], team: Team) -> None:
    operator = start().until_ready()
    key = team.minted("a-name-to-be-found")
    text = operator.get("/metrics")
    for name in ("a-name-to-be-found", team.namespace, key["status"]["currentKeyID"], "payments"):
        assert name not in text


def test_sigterm_ends_it_soon_with_0(start: Callable[..., Operator]) -> None:
    running = start().until_ready()
    begin = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begin < 20, "within the grace period of a Pod"


def test_sigterm_in_the_middle_of_work_loses_nothing(start: Callable[..., Operator], team: Team) -> None:
    running = start().until_ready()
    names = [f"key-{number}" for number in range(40)]
    for name in names:
        team.create(name)
    begin = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begin < 20, "within the grace period of a Pod"
    start().until_ready()
    for name in names:
        assert team.until_ready(name)["status"]["revision"] == 1


def test_without_an_api_server_it_lives_but_is_not_ready_and_says_why(
    start: Callable[..., Operator], operator_kubeconfig: Path, tmp_path: Path
) -> None:
    nobody = tmp_path / "kubeconfig"
    text = operator_kubeconfig.read_text()
    server = text.partition('"server": "')[2].partition('"')[0]
    nobody.write_text(text.replace(server, "https://127.0.0.1:1"))
    running = start(f"--kubeconfig={nobody}")
    assert until(lambda: _answer(running, "/healthz"), lambda answer: answer[0] == 200)
    status, _ = until(lambda: _answer(running, "/readyz"), lambda answer: "API server" in answer[1])
    assert status == 503
    until(lambda: [line["event"] for line in running.lines()], lambda told: "not reachable" in str(told))
    begin = time.monotonic()
    assert running.stop() == 0
    assert time.monotonic() - begin < 20, "within the grace period of a Pod"


@pytest.mark.parametrize(
    ("flag", "named"),
    [
        ("--ops-port=99999", "--ops-port"),
        ("--ops-port=none", "--ops-port"),
        ("--namespaces=Team_A", "--namespaces"),
        ("--namespaces=a,,b", "--namespaces"),
        ("--system-namespace=not/one", "--system-namespace"),
        ("--log-format=xml", "--log-format"),
        ("--log-level=loud", "--log-level"),
        ("--kubeconfig=/no/such/file", "--kubeconfig"),
        ("--no-such-flag", "--no-such-flag"),
    ],
)
def test_a_wrong_flag_is_refused_in_one_line_that_names_it(flag: str, named: str) -> None:
    ended = run("--no-leader-elect", flag)
    assert ended.returncode == 2
    assert ended.stdout == ""
    assert last_line(ended).startswith("keywright: ")
    assert named in last_line(ended)
    assert "Traceback" not in ended.stderr


def test_without_its_system_namespace_it_ends_with_2_and_the_command_to_run(
    operator_kubeconfig: Path,
) -> None:
    ended = run("--no-leader-elect", f"--kubeconfig={operator_kubeconfig}", "--system-namespace=nowhere")
    assert ended.returncode == 2
    assert "kubectl create namespace nowhere" in last_line(ended)
    assert "Traceback" not in ended.stderr


def _answer(operator: Operator, path: str) -> tuple[int, str]:
    try:
        return 200, operator.get(path)
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except (OSError, StopIteration) as error:
        return 0, repr(error)
