"""`python -m controlplane`: what people and the Makefile call.

Standard output carries the answer and nothing else, its last line is a path; progress is on standard error.
"""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import kstatus
from controlplane import cluster, helm, kind
from controlplane.errors import ControlPlaneError
from controlplane.paths import clusters_root
from gateways import caddy

_REPOSITORY = Path(__file__).parents[2]
_KIND_CLUSTER = "keywright"


def main(arguments: Sequence[str] | None = None) -> int:
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    # So that a build or a start that a CI system cuts short still ends what it began.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    options = _parser().parse_args(arguments)
    try:
        _run(options.command, options)
    except ControlPlaneError as error:
        print(f"controlplane: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def _run(command: str, options: argparse.Namespace) -> None:
    match command:
        case "up":
            print(cluster.up(options.name))
        case "down":
            cluster.down(options.name)
        case "kubectl-path":
            print(cluster.kubectl_path())
        case "helm-path":
            print(helm.path())
        case "kstatus-path":
            print(kstatus.path())
        case "caddy-path":
            print(caddy.path())
        case "audit-path":
            print(cluster.audit_path(options.name))
        case "kind":
            _make_kind()


def _make_kind() -> None:
    kubeconfig = clusters_root().parent / "kind.kubeconfig"
    kind.create(_KIND_CLUSTER, kubeconfig)
    kind.install_crds(cluster.kubectl_path(), kubeconfig, _REPOSITORY / "crds")
    print(f"The kind cluster {_KIND_CLUSTER} has Keywright's resources. Run the operator against it with")
    print(f"  keywright operator --kubeconfig {kubeconfig}")
    print(kubeconfig)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="controlplane", description="A real cluster for tests and the demo."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for command, summary in (
        ("up", "bring the cluster up, or keep it if it is healthy; prints its kubeconfig's path"),
        ("down", "end exactly what up started and remove its state"),
        ("audit-path", "print the path of the cluster's audit log, JSON lines"),
    ):
        subparser = commands.add_parser(command, help=summary, description=summary)
        subparser.add_argument("--name", default="default", help="several can run side by side")
    commands.add_parser("kubectl-path", help="print the path of a kubectl of the cluster's version")
    commands.add_parser("helm-path", help="print the path of the helm that the chart is tested with")
    commands.add_parser("kstatus-path", help="print the path of the program that says what kstatus would")
    commands.add_parser("caddy-path", help="print the path of the Caddy that the gateway tests run")
    commands.add_parser("kind", help=f"create the kind cluster {_KIND_CLUSTER} and install the resources")
    return parser


if __name__ == "__main__":
    sys.exit(main())
