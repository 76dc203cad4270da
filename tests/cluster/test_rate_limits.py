"""The API server asks for patience: it is left alone for as long as it says; other objects do not wait."""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.account import ACCOUNT, write_kubeconfig
from harness.operator import Operator
from harness.proxy import Answer, Proxy
from harness.team import digest_of, generations

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.api import Api
    from harness.leaks import Leaks
    from harness.team import Team

ASKED = 2.0
REFUSALS = 2
FAIRNESS = Answer(
    429,
    "Too many requests, please try again later.",
    {"Retry-After": "2", "X-Kubernetes-PF-FlowSchema-UID": "u", "X-Kubernetes-PF-PriorityLevel-UID": "u"},
)
"""As priority and fairness turns away, word for word."""
IN_DETAILS = Answer(
    429,
    json.dumps(
        {
            "kind": "Status",
            "apiVersion": "v1",
            "status": "Failure",
            "reason": "TooManyRequests",
            "code": 429,
            "details": {"retryAfterSeconds": 2},
        }
    ),
    {"Content-Type": "application/json"},
)


class Busy:
    """Turns away the first writes of each kind to one namespace, and notes when they came.

    Until `others_are_done` it turns away every one.
    """

    def __init__(self, namespace: str, answer: Answer) -> None:
        self.namespace = namespace
        self.answer = answer
        self.came: dict[tuple[str, str], list[float]] = {}
        self.turned_away: Counter[tuple[str, str]] = Counter()
        self.others_are_done = False

    def __call__(self, method: str, path: str) -> Answer | None:
        if method == "GET" or f"/namespaces/{self.namespace}/" not in path or "/events" in path:
            return None
        times = self.came.setdefault((method, path), [])
        times.append(time.monotonic())
        if self.others_are_done and len(times) > REFUSALS:
            return None
        self.turned_away[method, path] += 1
        return self.answer


@pytest.fixture(scope="module")
def proxy(admin: Api) -> Iterator[Proxy]:
    """A way to the API server that can answer in its place."""
    made = Proxy(admin)
    yield made
    made.stop()


@pytest.fixture(scope="module")
def behind(
    admin: Api,
    system_namespace: str,
    proxy: Proxy,
    logs: Path,
    leaks: Leaks,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Operator]:
    """An operator that knows no other way to the API server."""
    file = tmp_path_factory.mktemp("proxied") / "kubeconfig"
    write_kubeconfig(file, admin, system_namespace, ACCOUNT, server=proxy.url)
    running = Operator(file, logs / "behind-a-proxy.log").until_ready()
    yield running
    assert running.stop() == 0


@pytest.mark.parametrize("answer", [FAIRNESS, IN_DETAILS], ids=["header", "details"])
def test_it_comes_back_no_sooner_than_asked_and_others_do_not_wait(
    behind: Operator, proxy: Proxy, team: Team, make_team: Callable[[], Team], answer: Answer
) -> None:
    others = make_team()
    proxy.instead = busy = Busy(team.namespace, answer)
    team.create()
    for number in range(5):
        others.create(f"key-{number}")
    for number in range(5):
        others.until_ready(f"key-{number}")
    assert generations(team.get()) == [], "they did not wait for it"
    busy.others_are_done = True
    key = team.until_ready()

    paths = {path.rsplit("/", 1)[-1] for _, path in busy.came}
    assert {"secrets", "status"} <= paths, "publish, reveal and activate were all turned away"
    for (method, path), times in busy.came.items():
        refused = times[: busy.turned_away[method, path] + 1]
        waits = [after - before for before, after in itertools.pairwise(refused)]
        assert all(wait >= ASKED for wait in waits), f"{method} {path}: {waits}"
    assert key["status"]["revision"] == 1
    (active,) = generations(key)
    assert (active["state"], active["digest"]) == ("Active", digest_of(team.value()))
