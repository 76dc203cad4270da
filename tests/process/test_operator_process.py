"""The operator as a process: what it waits for, what it outlives and how it ends, on a real API server."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

from keywright.kube import paths
from keywright.kube.client import Client
from rbac import rbac

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SYSTEM = "keywright-system"
SOON = 10.0
"""Seconds to an end that takes less than one; what does not notice the signal takes for ever, or 60 s."""


def test_kinds_that_come_late_and_anew_are_served(
    kube: Any, namespace: str, start: Callable[..., Any]
) -> None:
    """Started without CRDs it says so and waits; it sees objects of CRDs that came later, and came again."""
    kube.remove_crds()
    operator = start()
    assert operator.ask("/readyz")[0] == 503
    operator.wait_for(system_namespace=SYSTEM)
    _until_logged(operator, "kubectl apply -f crds/")
    kube.install_crds()
    operator.wait_ready()
    kube.apply(kube.an("apikey", namespace, "first"))
    operator.wait_for(event="ADDED", key=f"apikey:{namespace}/first")
    kube("delete", "crd", "apikeys.keywright.dev")
    kube.install_crds()
    kube.apply(kube.an("apikey", namespace, "second"))
    operator.wait_for(key=f"apikey:{namespace}/second")
    assert operator.stop()[0] == 0


def test_sigterm_ends_it_soon(kube: Any, start: Callable[..., Any]) -> None:
    """Even with an idle connection to the ops port, as a scraper leaves one."""
    kube.install_crds()
    operator = start()
    operator.wait_ready()
    with socket.create_connection(("127.0.0.1", operator.port)) as idle:
        idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: it\r\n\r\n")
        assert idle.recv(100).startswith(b"HTTP/1.1 200")
        code, seconds = operator.stop()
    assert code == 0
    assert seconds < SOON


def test_sigterm_ends_it_while_it_waits_for_its_kinds(kube: Any, start: Callable[..., Any]) -> None:
    """No wait before it begins may swallow the signal."""
    kube.remove_crds()
    operator = start()
    _until_logged(operator, "kubectl apply -f crds/")
    code, seconds = operator.stop()
    kube.install_crds()
    assert code == 0
    assert seconds < SOON


def test_objects_are_only_read(kube: Any, namespace: str, start: Callable[..., Any]) -> None:
    """Watching leaves no annotation, finalizer, status or Event: the object stays as it was written."""
    kube.install_crds()
    operator = start()
    operator.wait_ready()
    kube.apply(kube.an("project", namespace, "untouched"))
    before = kube.get("project", "-n", namespace, "untouched")
    operator.wait_for(reconcile=f"project:{namespace}/untouched")
    kube("label", "project", "-n", namespace, "untouched", "seen=twice")
    operator.wait_for(event="MODIFIED", key=f"project:{namespace}/untouched")
    operator.stop()
    after = kube.get("project", "-n", namespace, "untouched")
    assert before["metadata"]["annotations"].keys() == after["metadata"]["annotations"].keys()
    assert "finalizers" not in after["metadata"]
    assert "status" not in after
    assert kube.get("events", "-n", namespace)["items"] == []


def test_no_pass_begins_before_everything_listed_is_known(
    kube: Any, namespace: str, start: Callable[..., Any]
) -> None:
    """The workers wait for the first lists of everything."""
    kube.install_crds()
    asyncio.run(_create_many(kube.kubeconfig, namespace, 700))
    operator = start()
    operator.wait_for(reconcile=f"apikey:{namespace}/k699")
    known = [fact["known"] for fact in operator.facts if fact.get("reconcile", "").startswith("apikey:")]
    assert min(known) >= 700
    operator.wait_ready()
    assert operator.ask("/healthz") == (200, "ok\n")
    assert 'keywright_reconcile_duration_seconds_count{kind="apikey"}' in operator.ask("/metrics")[1]


def test_the_charts_rights_suffice_for_the_whole_cluster(
    kube: Any, namespace: str, start: Callable[..., Any], tmp_path: Path
) -> None:
    """Nothing is forbidden to the chart's ServiceAccount, and a CRD that comes anew is noticed."""
    kube.install_crds()
    operator = start(kubeconfig=_as_chart_says(kube, tmp_path))
    operator.wait_ready()
    kube("delete", "crd", "projects.keywright.dev")
    kube.install_crds()
    kube.apply(kube.an("project", namespace, "anew"))
    operator.wait_for(key=f"project:{namespace}/anew")
    assert operator.stop()[0] == 0
    assert "Forbidden" not in operator.log


def test_with_roles_only_it_serves_its_namespaces_and_outlives_one_of_them(
    kube: Any, namespace: str, start: Callable[..., Any], tmp_path: Path
) -> None:
    """Revocations of the system namespace count as well, other objects there do not."""
    kube.install_crds()
    gone = f"{namespace}-gone"
    kube.namespace(gone)
    config = _as_chart_says(kube, tmp_path, namespaces=[namespace, gone])
    operator = start("--namespaces", f"{namespace},{gone}", kubeconfig=config)
    operator.wait_ready()
    kube("delete", "namespace", gone)
    kube.apply(kube.an("apikey", SYSTEM, "not-served"), kube.an("revocation", SYSTEM, "counts"))
    kube.apply(kube.an("apikey", namespace, "served"))
    operator.wait_for(event="ADDED", key=f"revocation:{SYSTEM}/counts")
    operator.wait_for(event="ADDED", key=f"apikey:{namespace}/served")
    assert not any(fact.get("key") == f"apikey:{SYSTEM}/not-served" for fact in operator.facts)
    kube("delete", "apikey,revocation", "-n", SYSTEM, "--all")
    assert operator.runs
    code, seconds = operator.stop()
    assert code == 0
    assert seconds < SOON


def test_a_token_that_comes_late_is_picked_up(
    kube: Any, namespace: str, start: Callable[..., Any], tmp_path: Path
) -> None:
    """A token file is read again after a 401."""
    kube.install_crds()
    config = _as_chart_says(kube, tmp_path)
    good = (tmp_path / "token").read_text()
    (tmp_path / "token").write_text("none")
    operator = start(kubeconfig=config)
    _until_logged(operator, "status=401")
    (tmp_path / "token").write_text(good)
    operator.wait_ready()
    kube.apply(kube.an("project", namespace, "seen"))
    operator.wait_for(event="ADDED", key=f"project:{namespace}/seen")


def test_without_the_system_namespace_it_refuses(start: Callable[..., Any]) -> None:
    """One line names the flag and the command that helps."""
    operator = start("--system-namespace", "nowhere")
    _until_logged(operator, "--system-namespace: there is no namespace nowhere")
    assert "kubectl create namespace nowhere" in operator.log
    assert operator.exit_code() == 2


def _until_logged(operator: Any, text: str) -> None:
    operator.wait_until(lambda: text in operator.log)


def _as_chart_says(kube: Any, directory: Path, **values: Any) -> Path:
    kube.apply(*rbac(values=values))
    token = kube("create", "token", "keywright-operator", "-n", SYSTEM, "--duration=10m").strip()
    path: Path = kube.with_token(token, directory)
    return path


async def _create_many(kubeconfig: Path, namespace: str, count: int) -> None:
    client = await Client.connect(str(kubeconfig))
    body = {"apiVersion": "keywright.dev/v1alpha1", "kind": "ApiKey", "spec": {}}
    try:
        for start in range(0, count, 50):
            names = [f"k{number}" for number in range(start, start + 50)]
            bodies = [{**body, "metadata": {"name": name}} for name in names]
            await asyncio.gather(*(client.create(paths.api_keys(namespace), one) for one in bodies))
    finally:
        await client.close()
