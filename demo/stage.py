"""What does the story need? A cluster, the resources, accounts with their rights, the programs, a gateway.

The cluster is the demo's own and goes with it. Where KEYWRIGHT_TEST_KUBECONFIG names one instead, only what
the demo made there goes, and it makes nothing where Keywright already is.
"""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import rbac
from controlplane import cluster
from controlplane.binaries import pinned_version
from controlplane.errors import ControlPlaneError
from controlplane.origin import Kind, choose
from controlplane.paths import cache_root
from demo import leftovers
from demo.failure import DemoError
from demo.gateway import Gateway
from demo.leftovers import DIRECTORY, Leftovers
from demo.program import Program
from demo.shell import Shell

if TYPE_CHECKING:
    from pathlib import Path

    from controlplane.processes import Process
    from demo.terminal import Terminal

CLUSTER = "demo"
SYSTEM = "keywright-system"
TEAM = "shop"

_RIGHTS = DIRECTORY / "rbac.json"
_ACCOUNTS = ("operator", "verifier")


class Stage:
    """Sets up, step by step, and clears away in any state that it may be in."""

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal
        self._left = leftovers.recall()
        self._own = choose(os.environ).kind is not Kind.GIVEN
        self.kubeconfig: Path

    def bring_up_cluster(self) -> Shell:
        """Start from nothing: a cluster without anything of an earlier run."""
        if not (cache_root() / pinned_version() / "bin" / "kube-apiserver").exists():
            self._terminal.say(
                "The first run builds a control plane from source: about 8 minutes, then seconds."
            )
        if self._left.alive:
            self._terminal.say("An earlier run is still here: it ends first.")
        self.clear()
        remedy = "The lines above say why. With KEYWRIGHT_TEST_KUBECONFIG=… the demo uses a cluster of yours."
        try:
            self.kubeconfig = cluster.up(CLUSTER)
        except ControlPlaneError as error:
            raise DemoError(str(error), remedy) from error
        shell = self._shell()
        namespaces = [] if self._own else [TEAM, SYSTEM]
        for namespace in namespaces:
            if shell.succeeds(f"kubectl get namespace {namespace}"):
                problem = f"this cluster has a namespace {namespace} that the demo did not make"
                raise DemoError(problem, "Give it a cluster without Keywright; it would delete that one.")
        self._remember(Leftovers(namespaces=tuple(namespaces)))
        return shell

    def install(self, shell: Shell) -> None:
        """Install the resources, and the programs' accounts with the rights that the chart grants."""
        made = rbac.rbac(namespace=SYSTEM, values={"verifier": {"enabled": True}})
        _RIGHTS.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": made}, indent=2))
        shell.show("kubectl apply --server-side -f crds/")
        kinds = "crd/projects.keywright.dev crd/apikeys.keywright.dev crd/revocations.keywright.dev"
        shell.read(f"kubectl wait --for=condition=Established --timeout=30s {kinds}")
        shell.show(f"kubectl create namespace {SYSTEM}")
        self._terminal.say(
            "Accounts and rights of operator and verifier, as the chart's templates grant them:"
        )
        shell.show(f"kubectl apply -f {_RIGHTS}")

    def start_operator(self, shell: Shell) -> Program:
        """Start the operator."""
        return self._start(shell, "operator", "--no-leader-elect")

    def start_verifier(self, shell: Shell) -> Program:
        """Start the verifier; it trusts what asks from this machine."""
        return self._start(shell, "verifier", "--port", "0")

    def start_gateway(self, verifier: Program, project: str) -> Gateway:
        """Start an application, and Envoy in front of it."""
        port = verifier.port("traffic")
        if port is None:
            raise DemoError("the verifier does not say where it listens", f"Its whole log: {verifier.log}")
        gateway = Gateway(DIRECTORY, port, project)
        self._remember_process(gateway.start_app())
        envoy, command = gateway.start_envoy()
        self._remember_process(envoy)
        self._terminal.command(command)
        gateway.wait_until_open()
        return gateway

    def _start(self, shell: Shell, name: str, *arguments: str) -> Program:
        """Start a program with its account's credentials, which hold for a day."""
        credentials = json.loads(shell.read("kubectl config view --raw --minify --flatten -o json"))
        token = shell.read(f"kubectl create token keywright-{name} -n {SYSTEM} --duration=24h").strip()
        credentials["users"][0]["user"] = {"token": token}
        file = _credentials(name)
        file.unlink(missing_ok=True)
        file.touch(mode=0o600)
        file.write_text(json.dumps(credentials))
        program = Program(name, DIRECTORY, file, *arguments)
        self._remember_process(program.process)
        self._terminal.command(program.command)
        program.wait_until_ready()
        return program

    def clear(self) -> None:
        """End and remove whatever this or an earlier run has made."""
        self._left.end_processes()
        if self._own:
            cluster.down(CLUSTER)
        elif self._left.namespaces:
            self.kubeconfig = cluster.up(CLUSTER)
            _sweep(self._shell(), self._left.namespaces)
        for name in _ACCOUNTS:
            _credentials(name).unlink(missing_ok=True)
        leftovers.forget()
        self._left = Leftovers()

    def _shell(self) -> Shell:
        return Shell(self._terminal, cluster.kubectl_path(), self.kubeconfig)

    def _remember_process(self, process: Process) -> None:
        self._remember(replace(self._left, processes=(*self._left.processes, process)))

    def _remember(self, left: Leftovers) -> None:
        self._left = left
        leftovers.remember(left)


def _credentials(name: str) -> Path:
    return DIRECTORY / f"{name}.kubeconfig"


def _sweep(shell: Shell, namespaces: tuple[str, ...]) -> None:
    """Remove what the demo made in somebody's cluster, the resources excepted; no operator is needed."""
    keys = "apikeys.keywright.dev"
    if shell.succeeds(f"kubectl get {keys} -n {TEAM}"):
        shell.read(f"kubectl delete {keys} --all --wait=false -n {TEAM}")
        for name in shell.read(f"kubectl get {keys} -n {TEAM} -o name").split():
            # Gone by now, where the operator had still let it go.
            shell.succeeds(
                f"""kubectl patch {name} -n {TEAM} --type=merge -p '{{"metadata":{{"finalizers":[]}}}}'"""
            )
    if _RIGHTS.exists():
        shell.succeeds(f"kubectl delete --ignore-not-found -f {_RIGHTS}")
    shell.read(f"kubectl delete namespace --ignore-not-found {' '.join(namespaces)}")
