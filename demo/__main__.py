"""`python -m demo [--keep | --end]`: what the Makefile calls. Exits with 1 where the story cannot be told."""

from __future__ import annotations

import argparse
import signal
import sys
import time
from typing import TYPE_CHECKING

from controlplane import cluster
from controlplane.errors import ControlPlaneError
from controlplane.locking import only_one
from demo.failure import DemoError
from demo.gateway import EXAMPLE
from demo.leftovers import DIRECTORY
from demo.requests import PATH, VALUE, Requests
from demo.stage import TEAM, Stage
from demo.story import Story
from demo.terminal import Terminal

if TYPE_CHECKING:
    from demo.gateway import Gateway
    from demo.program import Program

_INTERRUPTED = 130


def main() -> int:
    """Tell the story, or end what `--keep` left."""
    options = _options()
    terminal = Terminal()
    terminal.show_progress()
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, lambda number, _frame: sys.exit(128 + number))
    stage = None
    kept = False
    try:
        with only_one(DIRECTORY / "lock", doing="running the demo"):
            stage = Stage(terminal)
            try:
                if not options.end:
                    kept = _tell(stage, terminal, keep=options.keep)
            finally:
                if not kept:
                    stage.clear()
            if options.end:
                terminal.say("Nothing of the demo is left running.")
    except (DemoError, ControlPlaneError) as error:
        remedy = getattr(error, "remedy", "make demo starts afresh.")
        terminal.failure(str(error), f"{remedy}\nThe logs of what ran: {DIRECTORY}/*.log")
        return 1
    except KeyboardInterrupt:
        terminal.failure("interrupted; everything is cleaned up", "make demo starts afresh.")
        return _INTERRUPTED
    return 0


def _tell(stage: Stage, terminal: Terminal, *, keep: bool) -> bool:
    """Tell the story; return whether what it stands on is to stay."""
    terminal.title(
        "Keywright: the life of an API key, on a real Kubernetes API server, behind a real gateway"
    )
    terminal.chapter("0. A cluster, the resources, the operator")
    shell = stage.bring_up_cluster()
    began = time.monotonic()
    stage.install(shell)
    operator = stage.start_operator(shell)
    terminal.log("operator", operator.news())
    story = Story(terminal, shell, operator)
    story.ask_for_a_key()
    story.find_the_value()
    terminal.chapter("3. Use it: a gateway asks the verifier about every request")
    verifier = stage.start_verifier(shell)
    terminal.log("verifier", verifier.news())
    terminal.say(f"Envoy, as {EXAMPLE} has it, before an application that answers with what reached it:")
    gateway = stage.start_gateway(verifier, f"{TEAM}/payments")
    requests = Requests(terminal, shell, gateway)
    requests.without_a_key()
    requests.with_it()
    requests.out_of_scope()
    requests.over_the_limit()
    story.rotate()
    requests.with_both()
    story.regenerate()
    requests.with_the_leaked_one()
    story.delete(requests.until_denied)
    if keep:
        story.ask_again()
        _say_how_to_look_around(stage, terminal, operator, gateway)
    else:
        story.clean_up()
        took = f"{time.monotonic() - began:.0f} s"
        terminal.say(f"That was it, in {took}. All that ran ends now; make demo KEEP=1 leaves it running.")
    return keep


def _say_how_to_look_around(stage: Stage, terminal: Terminal, operator: Program, gateway: Gateway) -> None:
    terminal.chapter("Look around")
    terminal.say("Operator, verifier, Envoy and application run on; their credentials hold for a day.")
    for line in (
        f"export KUBECONFIG={stage.kubeconfig}",
        f"alias kubectl={cluster.kubectl_path()}",
        f"kubectl get -n {TEAM} apikey checkout -o yaml",
        f'KEY="$({VALUE})"',
        f'curl -i {gateway.url}{PATH} -H "Authorization: Bearer $KEY"',
        f"kubectl annotate -n {TEAM} apikey checkout keywright.dev/regenerate=again-1   # and ask again",
        f"kubectl delete -n {TEAM} secret checkout-key   # lost: a new one at once",
        f"tail -f {operator.log}",
        "make demo-end   # ends everything",
    ):
        terminal.command(line)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="demo", description="The life of an API key on a real API server.")
    either = parser.add_mutually_exclusive_group()
    either.add_argument("--keep", action="store_true", help="leave cluster and operator running")
    either.add_argument("--end", action="store_true", help="end what --keep left running")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
