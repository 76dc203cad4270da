"""A cluster whose CRDs these tests may delete, and the operator with a stand-in as a process."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from controlplane import cluster
from harness.cluster import NAME
from harness.waiting import PATIENCE
from keywright.api.meta import API_VERSION, GROUP, VERSION
from keywright.kube.paths import PLURALS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SYSTEM = "keywright-system"
KINDS = {"project": "Project", "apikey": "ApiKey", "revocation": "Revocation"}
_PROGRAM = Path(__file__).parent / "program.py"


class Kube:
    """kubectl, with objects in and out."""

    def __init__(self, kubeconfig: Path) -> None:
        self.kubeconfig = kubeconfig
        self._program = str(cluster.kubectl_path())

    def __call__(self, *arguments: str, feed: Any = None, check: bool = True) -> str:
        """Run a command; return what it printed."""
        command = [self._program, "--kubeconfig", str(self.kubeconfig), *arguments]
        text = None if feed is None else json.dumps(feed)
        return subprocess.run(command, input=text, check=check, capture_output=True, text=True).stdout

    def apply(self, *objects: dict[str, Any]) -> None:
        """Create or change objects."""
        self("apply", "-f", "-", feed={"apiVersion": "v1", "kind": "List", "items": list(objects)})

    def get(self, *arguments: str) -> Any:
        """Return an object."""
        return json.loads(self("get", *arguments, "-o", "json"))

    def namespace(self, name: str) -> None:
        """See that a namespace exists."""
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def install_crds(self) -> None:
        """Install the three kinds, accepting anything: what the process does depends on nothing else."""
        self.apply(*(_crd(kind, plural) for kind, plural in PLURALS.items()))
        names = [f"crd/{plural}.{GROUP}" for plural in PLURALS.values()]
        self("wait", "--for=condition=Established", "--timeout=120s", *names)

    def an(self, kind: str, namespace: str, name: str) -> dict[str, Any]:
        """Return a minimal object."""
        metadata = {"namespace": namespace, "name": name}
        return {"apiVersion": API_VERSION, "kind": KINDS[kind], "metadata": metadata, "spec": {}}

    def with_token(self, token: str, directory: Path) -> Path:
        """Return a kubeconfig for the same cluster whose only credential is a token, in the file `token`."""
        file = directory / "token"
        file.write_text(token)
        config = yaml.safe_load(self.kubeconfig.read_text())
        user = {"tokenFile": str(file)}
        config["users"] = [{"name": one["name"], "user": user} for one in config["users"]]
        path = directory / "kubeconfig"
        path.write_text(yaml.safe_dump(config))
        return path

    def remove_crds(self) -> None:
        """Remove them, and with them every object."""
        self("delete", "crd", "--ignore-not-found", *(f"{plural}.{GROUP}" for plural in PLURALS.values()))


class Operator:
    """The program; what it tells is read as it comes."""

    def __init__(self, kubeconfig: Path, log: Path, *arguments: str) -> None:
        self.facts: list[dict[str, Any]] = []
        self._log = log
        command = [
            sys.executable,
            str(_PROGRAM),
            "operator",
            "--kubeconfig",
            str(kubeconfig),
            "--ops-port",
            "0",
        ]
        self._process = subprocess.Popen(
            [*command, "--log-format", "json", *arguments],
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.facts.append(json.loads(line))

    @property
    def log(self) -> str:
        """What it logged until now."""
        return self._log.read_text()

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def ask(self, path: str) -> tuple[int, str]:
        """Return status and body of an answer of its ops port."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError as error:  # no answer within the time, or not yet listening
            return 0, str(error)

    @property
    def port(self) -> int:
        """The port that it picked."""
        found = self.wait_until(lambda: re.search(r'"port": (\d+)', self.log))
        return int(found[1])

    def wait_for(self, **fact: Any) -> dict[str, Any]:
        """Wait until it told something; return all of it."""

        def told() -> dict[str, Any] | None:
            matching = (one for one in list(self.facts) if fact.items() <= one.items())
            return next(matching, None)

        found: dict[str, Any] = self.wait_until(told)
        return found

    def wait_ready(self) -> None:
        """Wait until it is ready."""
        self.wait_until(lambda: self.ask("/readyz")[0] == 200)

    def wait_until(self, condition: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        """Return what a condition returns once that is something."""
        deadline = time.monotonic() + seconds
        while True:
            runs = self.runs
            if found := condition():
                return found
            problem = "it did not come about" if runs else "the operator has ended"
            assert runs and time.monotonic() < deadline, f"{problem}: {self.facts[-20:]}\n{self.log}"  # noqa: PT018
            time.sleep(0.05)

    def exit_code(self) -> int:
        """Return the exit status of an end of its own."""
        return self._process.wait(timeout=PATIENCE)

    def stop(self) -> tuple[int, float]:
        """Send SIGTERM; return its exit status and how many seconds it took."""
        began = time.monotonic()
        self._process.terminate()
        code = self._process.wait(timeout=PATIENCE)
        return code, time.monotonic() - began

    def end(self) -> None:
        """See that it is gone."""
        if self.runs:
            self._process.kill()
        self._process.wait()
        self._reader.join(timeout=PATIENCE)
        if self._process.stdout is not None:
            self._process.stdout.close()


@pytest.fixture(scope="session")
def kube() -> Iterator[Kube]:
    """A cluster of these tests alone: it loses its CRDs. One that was given gets them back."""
    name = f"{NAME}-process"
    cluster.down(name)  # what a run that was killed has left
    kubeconfig = cluster.up(name)
    kube = Kube(kubeconfig)
    before = json.loads(kube("get", "crd", "-o", "json"))["items"]
    ours = [crd for crd in before if crd["spec"]["group"] == GROUP]
    kube.namespace(SYSTEM)
    yield kube
    if os.environ.get("KEYWRIGHT_TEST_KUBECONFIG"):
        kube.remove_crds()
        kube.apply(*map(_bare, ours))
    cluster.down(name)


@pytest.fixture
def namespace(kube: Kube, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace of the test's own."""
    name = "t-" + format(abs(hash(request.node.nodeid)) % 2**32, "08x")
    kube.namespace(name)
    yield name
    kube("delete", "namespace", name, "--wait=false", "--ignore-not-found")


@pytest.fixture
def start(kube: Kube, tmp_path: Path) -> Iterator[Callable[..., Operator]]:
    """Start operators; they are ended with the test."""
    started: list[Operator] = []

    def one(*arguments: str, kubeconfig: Path | None = None) -> Operator:
        log = tmp_path / f"operator-{len(started)}.log"
        started.append(Operator(kubeconfig or kube.kubeconfig, log, *arguments))
        return started[-1]

    yield one
    for operator in started:
        operator.end()


def _crd(kind: str, plural: str) -> dict[str, Any]:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "schema": {"openAPIV3Schema": anything},
    }
    names = {"plural": plural, "singular": kind, "kind": KINDS[kind]}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {"group": GROUP, "scope": "Namespaced", "names": names, "versions": [version]},
    }


def _bare(obj: dict[str, Any]) -> dict[str, Any]:
    kept = {"name", "labels", "annotations"}
    metadata = {name: value for name, value in obj["metadata"].items() if name in kept}
    return {"apiVersion": obj["apiVersion"], "kind": obj["kind"], "metadata": metadata, "spec": obj["spec"]}
