"""The verifier as its users run it: a process of its own, that proxies ask."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from harness.waiting import PATIENCE, until

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYWRIGHT = Path(sys.executable).with_name("keywright")


class Verdict(NamedTuple):
    """What a proxy is answered; `code` is that of a denial, empty where the request is allowed."""

    status: int
    code: str
    headers: Mapping[str, str]


class Verifier:
    """One run of `keywright verifier`."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str) -> None:
        self.log = log
        command = [str(KEYWRIGHT), "verifier", f"--kubeconfig={kubeconfig}", "--port=0", "--ops-port=0"]
        with log.open("ab") as out:
            self.process = subprocess.Popen(
                [*command, "--log-format=json", *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )

    def until_ready(self) -> Verifier:
        """Wait until /readyz says so."""
        until(self.ready, lambda status: status == 200, what="the verifier is ready")
        return self

    @property
    def ops_url(self) -> str:
        """Where its operations port is."""
        return self._url("ops")

    def ready(self) -> int:
        """Return the status of /readyz; 0 where nothing listens yet."""
        return _ask(f"{self.ops_url}/readyz")[0] if self._listens() else 0

    def metric(self, sample: str) -> float:
        """Return one sample of /metrics."""
        text = _ask(f"{self.ops_url}/metrics")[1]
        lines = (line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
        return next(float(value) for name, value in lines if name == sample)

    def ask(self, project: str, key: str | None, path: str = "/v1/data", method: str = "GET") -> Verdict:
        """Ask as Envoy does."""
        until(self._listens, bool, what="the verifier listens")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        status, body, given = _ask(f"{self._url('traffic')}/authz/envoy/{project}{path}", method, headers)
        return Verdict(status, json.loads(body)["error"]["code"] if body else "", given)

    def stop(self) -> int:
        """End it as Kubernetes does, and return its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=PATIENCE)

    def _listens(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()[-2000:]
        return '"ops"' in self.log.read_text()

    def _url(self, what: str) -> str:
        lines: list[dict[str, Any]] = [json.loads(line) for line in self.log.read_text().splitlines()]
        return f"http://127.0.0.1:{next(line['port'] for line in lines if line.get('what') == what)}"


def _ask(url: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, str, Any]:
    request = urllib.request.Request(url, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode(), error.headers
