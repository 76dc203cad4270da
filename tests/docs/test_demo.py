"""`make demo` as a person runs it: it tells its story, shows no value and leaves nothing behind."""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from docs.markdown import ROOT
from harness.api import Api
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable

RAW_KEY = re.compile(r"[a-z][a-z0-9_]*_(?:dev|prod|client)_[a-z0-9]{16}_[0-9A-Za-z]{49}")
CHAPTERS = ("Ask for a key", "The value is in one place", "Use it", "Rotate", "Regenerate", "Delete")
ANSWERS = ["401 Unauthorized", "200 OK", "403 Forbidden", "429 Too Many Requests", "401 Unauthorized"]
PROGRAMS = ("keywright operator", "keywright verifier", "demo/app.py", "/envoy.yaml")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """Where this demo keeps what it starts: not where a person's own one does."""
    return tmp_path / "state"


@pytest.fixture
def make(state: Path, kubectl: str) -> Callable[..., tuple[int, str]]:
    """Run a target; `kubectl` is asked for so that nothing is built within the time that is measured."""

    def run(*arguments: str, **variables: str) -> tuple[int, str]:
        environment = {key: value for key, value in os.environ.items() if key != "MAKEFLAGS"}
        cache = environment.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
        environment |= {"XDG_STATE_HOME": str(state), "XDG_CACHE_HOME": cache, **variables}
        began = time.monotonic()
        done = subprocess.run(
            ["make", *arguments],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        print(f"make {' '.join(arguments)}: {time.monotonic() - began:.0f} s")
        return done.returncode, done.stdout

    return run


def running(state: Path) -> list[str]:
    """Return the command lines of what speaks of a directory, or works in it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            works_in = str((process / "cwd").readlink())
        except OSError:  # it has ended meanwhile
            continue
        if str(state) in line + works_in:
            found.append(line)
    return found


def test_it_tells_the_story_within_two_minutes_and_leaves_nothing(
    make: Callable[..., tuple[int, str]], state: Path
) -> None:
    began = time.monotonic()
    code, told = make("demo")
    assert code == 0, told
    assert time.monotonic() - began < 120
    for chapter in CHAPTERS:
        assert chapter in told
    assert ANSWERS == re.findall(r"^HTTP/1\.1 (\d+ .+)$", told, re.MULTILINE)
    assert "\nx-auth-api-key: shop/checkout\n" in told
    assert "authorization:" not in told.lower().partition("get /payments/42")[2].partition("\n\n")[0]
    assert "\n200\n200\n200\n429\n429\n" in told
    revoked = re.search(r"Revoked within ([\d.]+) ms of the API server's answer: 401 revoked_api_key", told)
    assert revoked is not None or "ms before kubectl had the API server's answer" in told
    assert revoked is None or float(revoked[1]) < 1000
    assert "\x1b" not in told
    assert [] == RAW_KEY.findall(told)
    assert [] == running(state)


def test_kept_it_says_how_to_look_around_and_how_to_end(
    make: Callable[..., tuple[int, str]], state: Path, kubectl: str
) -> None:
    try:
        code, told = make("demo", "KEEP=1")
        assert code == 0, told
        assert [] == RAW_KEY.findall(told)
        assert set(PROGRAMS) == {name for line in running(state) for name in PROGRAMS if name in line}
        kubeconfig = re.search(r"export KUBECONFIG=(\S+)", told)
        assert kubeconfig is not None
        key = Api(Path(kubeconfig[1])).get("ApiKey", "checkout", "shop")
        assert [1] == [generation["revision"] for generation in key["status"]["keys"]]
        key_line, curl = (
            re.search(rf"^\$ ({start}.+)$", told, re.MULTILINE) for start in ("KEY=", "curl -i ")
        )
        assert key_line is not None
        assert curl is not None
        lines = [
            f"export KUBECONFIG={kubeconfig[1]}",
            f'kubectl() {{ {kubectl} "$@"; }}',
            key_line[1],
            curl[1],
        ]
        asked = subprocess.run(["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True)
        assert asked.stdout.startswith("HTTP/1.1 200 OK")
    finally:
        code, told = make("demo-end")
    assert code == 0, told
    assert [] == running(state)


def test_in_somebody_elses_cluster_it_touches_no_namespace_that_it_did_not_make(
    make: Callable[..., tuple[int, str]], kubeconfig: Path, admin: Api
) -> None:
    if admin.find("Namespace", "shop") is None:
        admin.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}})
    code, told = make("demo", KEYWRIGHT_TEST_KUBECONFIG=str(kubeconfig))
    assert code != 0
    assert "namespace shop that the demo did not make" in told
    assert "deletionTimestamp" not in admin.get("Namespace", "shop")["metadata"]
    admin.delete("Namespace", "shop")
    until(lambda: admin.find("Namespace", "shop"), lambda found: found is None, what="the namespace is gone")
