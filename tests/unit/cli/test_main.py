"""The command line: one line that names the flag and the remedy."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from keywright.cli import operator as command
from keywright.cli.main import main
from keywright.controller.ports import Realm, Service, UsageOptions

if TYPE_CHECKING:
    from keywright.controller.ports import Options


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Options]:
    options: list[Options] = []

    def serve(given: Options) -> int:
        options.append(given)
        return 0

    monkeypatch.setattr(command, "_serve", serve)
    monkeypatch.setattr("keywright.logs.configure", lambda *_: None)
    return options


def test_it_says_its_version() -> None:
    result = run("--version")
    assert (result.exit_code, result.output) == (0, "keywright 0.1.0\n")


def test_every_flag_says_what_it_does() -> None:
    text = run("operator", "--help").output
    for flag in [
        "--kubeconfig",
        "--namespaces",
        "--system-namespace",
        "--leader-elect",
        "--no-leader-elect",
        "--lease-name",
        "--watch-secrets",
        "--no-watch-secrets",
        "--rollout-restart",
        "--usage-url",
        "--usage-service",
        "--usage-token-file",
        "--usage-interval",
        "--bind-address",
        "--ops-port",
        "--log-format",
        "--log-level",
    ]:
        assert flag in text
    assert "Let one of several replicas act" in " ".join(text.split())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["operator", "--ops-port", "70000"], "--ops-port"),
        (["operator", "--namespaces", "a,,b"], "--namespaces"),
        (["operator", "--namespaces", ""], "--namespaces"),
        (["operator", "--system-namespace", "Upper"], "--system-namespace"),
        (["operator", "--lease-name", "My_Lease"], "--lease-name"),
        (["operator", "--lease-name", ""], "--lease-name"),
        (["operator", "--log-format", "xml"], "--log-format"),
        (["operator", "--wrong"], "--wrong"),
        (["operate"], "operate"),
    ],
)
def test_wrong_input_is_one_line_that_names_the_flag(arguments: list[str], words: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert len(result.output.splitlines()) == 1
    assert words in result.output


def test_without_a_command_it_shows_help() -> None:
    result = run()
    assert result.exit_code == 2
    assert result.output.startswith("Usage: ")


@pytest.mark.parametrize(
    ("content", "words"), [(None, "no such kubeconfig"), ("[]", "not a usable kubeconfig")]
)
def test_a_missing_or_broken_kubeconfig_is_named(tmp_path: Any, content: str | None, words: str) -> None:
    path = tmp_path / "config"
    if content:
        path.write_text(content)
    script = [sys.executable, "-m", "keywright.cli.main", "operator", "--kubeconfig", str(path)]
    code = "import sys; sys.argv[0] = 'keywright'; from keywright.cli.main import main; main()"
    result = subprocess.run(
        [sys.executable, "-c", code, *script[3:]], check=False, capture_output=True, text=True
    )
    assert result.returncode == 2
    last = result.stderr.splitlines()[-1]
    assert last.startswith("keywright: --kubeconfig: ")
    assert words in last
    assert str(path) in last


def test_without_the_extra_it_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    missing = {"kubernetes"}
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in missing else found(name))
    result = run("operator")
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert 'pip install "keywright[operator]"' in result.output


def test_the_flags_reach_the_operator(started: list[Options]) -> None:
    arguments = "--kubeconfig /k --namespaces a,b,a --system-namespace s --bind-address 0.0.0.0 --ops-port 0"
    assert run("operator", *arguments.split(), "--rollout-restart").exit_code == 0
    options = started[0]
    assert (options.kubeconfig, options.bind_address, options.ops_port) == ("/k", "0.0.0.0", 0)
    assert options.realm == Realm(namespaces=("a", "b"), system_namespace="s")
    assert options.rollout_restart


def test_nothing_is_restarted_unless_asked_for(started: list[Options]) -> None:
    run("operator")
    assert not started[0].rollout_restart


def test_without_a_token_file_no_verifier_is_asked_for_usage(started: list[Options]) -> None:
    run("operator")
    assert started[0].usage is None


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], UsageOptions(token_file=Path("/t"), service=Service("s", "keywright-verifier-usage"))),
        (
            ["--usage-url", "https://v:1/", "--usage-url", "http://[::1]:2", "--usage-url", "https://v:1"],
            UsageOptions(
                token_file=Path("/t"),
                service=Service("s", "keywright-verifier-usage"),
                urls=("https://v:1", "http://[::1]:2"),
            ),
        ),
        (
            ["--usage-service", "platform/verifiers", "--usage-interval", "1m30s"],
            UsageOptions(token_file=Path("/t"), service=Service("platform", "verifiers"), interval=90.0),
        ),
    ],
    ids=str,
)
def test_with_one_they_are_found_by_their_service_or_named(
    started: list[Options], arguments: list[str], expected: UsageOptions
) -> None:
    given = run("operator", "--system-namespace", "s", "--usage-token-file", "/t", *arguments)
    assert (given.exit_code, given.output) == (0, "")
    assert expected == started[0].usage


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        (["--usage-url", "http://v:1"], "give the file that holds it by --usage-token-file"),
        (["--usage-url", "v:8082"], "give http or https, host and port, such as http://verifier:8082"),
        (["--usage-url", "ftp://v:1"], "give http or https"),
        (["--usage-url", "http://:1"], "give http or https"),
        (["--usage-url", "http://v:x"], "give http or https"),
        (["--usage-url", "http://v w:1"], "give http or https"),
        (["--usage-url", "http://me:hunter2@v:1"], "give the token by --usage-token-file"),
        (["--usage-url", "http://v:1/usage"], "nothing after the port"),
        (["--usage-url", "http://v:1?token=hunter2"], "nothing after the port"),
        (["--usage-service", "A_B"], "give a name, or namespace and name"),
        (["--usage-service", "/a"], "give a name, or namespace and name"),
        (["--usage-interval", "soon"], "write a duration"),
        (["--usage-interval", "100ms"], "from 1s to 1h"),
    ],
    ids=str,
)
def test_usage_that_could_not_be_read_like_this_is_refused_in_one_line(flags: list[str], remedy: str) -> None:
    result = run("operator", *flags)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert flags[0] in result.output
    assert remedy in result.output
    assert "hunter2" not in result.output


@pytest.mark.parametrize(
    ("arguments", "lease"),
    [
        ([], "keywright-operator"),
        (["--lease-name", "blue.keywright"], "blue.keywright"),
        (["--no-leader-elect"], None),
        (["--no-leader-elect", "--lease-name", "blue"], None),
    ],
)
def test_it_competes_for_the_lease_that_is_named(
    started: list[Options], arguments: list[str], lease: str | None
) -> None:
    assert run("operator", *arguments).exit_code == 0
    assert started[0].lease_name == lease


@pytest.mark.parametrize(
    ("flags", "remedy"),
    [
        (["--trusted-proxies", "10.0.0.1/8"], "give such as 127.0.0.0/8"),
        (["--client-ip-header", "a b"], "give such as X-Forwarded-For"),
        (["--max-staleness", "5 minutes"], "write a duration"),
        (["--max-staleness", "10s"], "at least 30s"),
        (["--namespaces", "Team_A"], "give names such as team-a"),
        (["--usage-token-file", "/nowhere"], "give a file that can be read"),
        (["--usage-token-file", "/dev/null"], "write one line of visible ASCII"),
    ],
)
def test_a_verifier_that_cannot_start_like_this_says_so_in_one_line(flags: list[str], remedy: str) -> None:
    result = run("verifier", *flags)
    assert (result.exit_code, result.output.count("\n")) == (2, 1)
    assert remedy in result.output
