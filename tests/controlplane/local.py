"""A control plane out of three programs on the loopback interface: etcd, API server, controller manager.

There is no node, so nothing runs pods. All that an operator talks to is real: storage, admission, RBAC,
watches, garbage collection, namespace deletion, service accounts. A port that was free when it was picked may
be taken when the program binds it: that is PortTakenError, and the caller's to try again.
"""

import http.client
import json
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from controlplane import processes
from controlplane.binaries import Binaries
from controlplane.configuration import (
    Identity,
    audit_policy,
    identity,
    write_authority,
    write_json,
    write_kubeconfig,
    write_signing_key,
    write_tokens,
)
from controlplane.errors import ControlPlaneError
from controlplane.processes import Process

AUTHORITY = "ca.crt"
"""Its name in the cluster's directory."""

_START_SECONDS = 300
# Ready, and what its own start goes on making for a moment: first namespaces, roles, the API for resources.
_SERVED = (
    "/readyz",
    "/api/v1/namespaces/kube-system",
    "/apis/rbac.authorization.k8s.io/v1/clusterroles/admin",
    "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
)


class PortTakenError(Exception):
    """A program found its port in use; another start, with other ports, may do better."""


@dataclass
class ControlPlane:
    """One start; `record` is called after each process, so that even a killed `up` leaves none unknown."""

    directory: Path
    binaries: Binaries
    record: Callable[[list[Process]], None]
    processes: list[Process] = field(default_factory=list)

    def start(self) -> None:
        """Returns once the cluster answers and has its default service account; else ends what it started."""
        try:
            self._start()
        except BaseException:
            processes.stop(self.processes)
            raise

    def _start(self) -> None:
        administrator = identity("keywright-test-admin", "system:masters")
        controllers = identity("system:kube-controller-manager")
        store = self._start_etcd()
        server = self._start_apiserver(store, administrator, controllers)
        chain = self.directory / "certificates" / "apiserver.crt"
        admin = Access(server=server, authority=chain, token=administrator.token)
        self._await("kube-apiserver", lambda: all(map(admin.answers, _SERVED)))
        authority = write_authority(self.directory / AUTHORITY, chain)
        self._start_controller_manager(server, authority, controllers)
        account = "/api/v1/namespaces/default/serviceaccounts/default"
        self._await("kube-controller-manager", lambda: admin.answers(account))
        write_kubeconfig(self.directory / "kubeconfig", server=server, authority=authority, who=administrator)

    def _start_etcd(self) -> str:
        store = f"http://127.0.0.1:{free_port()}"
        self._launch(
            "etcd",
            self.binaries.etcd,
            {
                "data-dir": self.directory / "etcd",
                "listen-client-urls": store,
                "advertise-client-urls": store,
                "listen-peer-urls": "http://127.0.0.1:0",  # a single member has no peers
                "log-level": "warn",
                "unsafe-no-fsync": "true",  # what a crash of the machine would lose is thrown away anyway
            },
        )
        return store

    def _start_apiserver(self, store: str, *identities: Identity) -> str:
        port = free_port()
        key = write_signing_key(self.directory / "service-account.key")
        self._launch(
            "kube-apiserver",
            self.binaries.apiserver,
            {
                "etcd-servers": store,
                "bind-address": "127.0.0.1",
                "secure-port": port,
                "cert-dir": self.directory / "certificates",
                # A loopback address is no valid endpoint, and without pods nobody needs the endpoint.
                "advertise-address": "127.0.0.1",
                "endpoint-reconciler-type": "none",
                "service-cluster-ip-range": "10.0.0.0/24",
                "service-account-issuer": "https://kubernetes.default.svc",
                "service-account-key-file": key,
                "service-account-signing-key-file": key,
                "authorization-mode": "RBAC",
                "token-auth-file": write_tokens(self.directory / "tokens.csv", *identities),
                "audit-policy-file": write_json(self.directory / "audit-policy.json", audit_policy()),
                "audit-log-path": self.directory / "audit.log",
                "audit-log-maxsize": 4096,  # MB; a rotated log would miscount
                # Load tests measure the operator, not the defaults for a small shared control plane.
                "max-requests-inflight": 1200,
                "max-mutating-requests-inflight": 600,
            },
        )
        return f"https://127.0.0.1:{port}"

    def _start_controller_manager(self, server: str, authority: Path, who: Identity) -> None:
        kubeconfig = self.directory / "kube-controller-manager.kubeconfig"
        self._launch(
            "kube-controller-manager",
            self.binaries.controller_manager,
            {
                "kubeconfig": write_kubeconfig(kubeconfig, server=server, authority=authority, who=who),
                "service-account-private-key-file": self.directory / "service-account.key",
                "root-ca-file": authority,
                "use-service-account-credentials": "true",
                "leader-elect": "false",
                "secure-port": 0,  # serves nothing, so needs no port
                # It creates this directory; the default is one of the machine's.
                "flex-volume-plugin-dir": self.directory / "flexvolume",
                "kube-api-qps": 1000,
                "kube-api-burst": 2000,
                "concurrent-gc-syncs": 40,
                "concurrent-namespace-syncs": 40,
                "concurrent-serviceaccount-token-syncs": 20,
            },
        )

    def _launch(self, name: str, program: Path, flags: dict[str, str | int | Path]) -> None:
        command: list[str | Path] = [program, *(f"--{flag}={value}" for flag, value in flags.items())]
        self.processes.append(processes.start(name, command, directory=self.directory))
        self.record(self.processes)

    def _await(self, name: str, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            # Asked first: whoever took etcd's port may be an etcd too, and would answer in its place.
            for process in self.processes:
                if not process.alive:
                    self._explain_end(process.name)
            if condition():
                return
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{name} not ready after {_START_SECONDS} s\n{self._tail(name)}")
            time.sleep(0.1)

    def _explain_end(self, name: str) -> NoReturn:
        tail = self._tail(name)
        if "address already in use" in tail:
            raise PortTakenError(name)
        raise ControlPlaneError(f"{name} ended while starting\n{tail}")

    def _tail(self, name: str) -> str:
        text = (self.directory / f"{name}.log").read_text(encoding="utf-8", errors="replace")
        return "\n".join(text.splitlines()[-15:])


@dataclass(frozen=True)
class Access:
    """How to ask the API server something without a client library."""

    server: str
    authority: Path
    token: str

    @classmethod
    def of(cls, kubeconfig: Path, authority: Path) -> "Access":
        """What a kubeconfig says that was written here."""
        content = json.loads(kubeconfig.read_text(encoding="utf-8"))
        server = content["clusters"][0]["cluster"]["server"]
        return cls(server=server, authority=authority, token=content["users"][0]["user"]["token"])

    def answers(self, path: str) -> bool:
        request = urllib.request.Request(
            self.server + path, headers={"Authorization": f"Bearer {self.token}"}
        )
        try:
            context = ssl.create_default_context(cafile=self.authority)
            # No proxy of the environment stands between us and the loopback interface.
            opener = urllib.request.build_opener(
                urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context)
            )
            with opener.open(request, timeout=15):
                return True
        except (OSError, http.client.HTTPException):
            # Not yet listening, certificate not yet whole, 500 of /readyz, 404 of the object: all mean later.
            return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
