"""What is told? One key from its first manifest to its end, every line of it real output."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from demo.failure import DemoError
from demo.shell import REPOSITORY
from demo.stage import SYSTEM, TEAM

if TYPE_CHECKING:
    from collections.abc import Callable

    from demo.program import Program
    from demo.shell import Shell
    from demo.terminal import Terminal

QUICKSTART = "examples/quickstart"
_SECRET_PART = 49
"""Characters after the hint: 43 of the secret, 6 of the checksum."""


class Story:
    """The chapters; each can count on what those before it have left."""

    def __init__(self, terminal: Terminal, shell: Shell, operator: Program) -> None:
        self._terminal = terminal
        self._shell = shell
        self._operator = operator

    def ask_for_a_key(self) -> None:
        """Apply the quickstart and wait for the key."""
        self._terminal.chapter("1. Ask for a key")
        manifest = f"{QUICKSTART}/3-apikey.yaml"
        self._terminal.command(f"cat {manifest}")
        self._terminal.output((REPOSITORY / manifest).read_text())
        self._shell.show(f"kubectl apply -f {QUICKSTART}/")
        self._shell.show(f"kubectl wait -n {TEAM} --for=condition=Ready --timeout=30s apikey/checkout")
        self._shell.show(f"kubectl get -n {TEAM} apikey checkout")
        self._tell_log()

    def find_the_value(self) -> None:
        """Show where the value is, and that nothing else knows it."""
        self._terminal.chapter("2. The value is in one place: the Secret")
        self._shell.show(f"kubectl describe -n {TEAM} secret checkout-key", _described)
        self._terminal.say(
            "What applications present looks like this; the demo shows no value, only its hint:"
        )
        self._terminal.output(f"{self._keys()[0]['hint']}_{'•' * _SECRET_PART}")
        self._terminal.say("The status keeps a SHA-256 digest and times, never the value:")
        self._shell.show(f"kubectl get -n {TEAM} apikey checkout -o yaml", _keys_only)
        self._terminal.say("It is the digest of what the Secret holds:")
        field = "jsonpath='{.data.apiKey}'"
        self._shell.show(
            f"kubectl get -n {TEAM} secret checkout-key -o {field} | base64 -d | sha256sum | cut -d' ' -f1"
        )

    def rotate(self) -> None:
        """Rotate on request."""
        self._terminal.chapter("4. Rotate: a new value, while the old one stays good for a day")
        self._annotate("rotate", "2026-11-a", revision=2)
        self._show_generations()
        self._tell_log()

    def regenerate(self) -> None:
        """Replace a leaked key at once."""
        self._terminal.chapter("5. Regenerate: the key has leaked, all older values end now")
        self._annotate("regenerate", "leak-1", revision=3)
        self._show_generations()
        self._terminal.say("Each revoked value has a record, which outlives the ApiKey:")
        self._show_records(2)
        self._tell_log()

    def delete(self, watching: Callable[[str], None]) -> None:
        """Delete the ApiKey, by a command that `watching` shows: revoked first, then the Secret goes."""
        self._terminal.chapter("6. Delete: revoked first, then gone")
        watching(f"kubectl delete -n {TEAM} apikey checkout --wait=false")
        self._shell.show(f"kubectl wait -n {TEAM} --for=delete --timeout=30s apikey/checkout")
        self._shell.show(f"kubectl get -n {TEAM} secret checkout-key", fails=True)
        self._show_records(3)
        self._tell_log()

    def ask_again(self) -> None:
        """Leave a key behind to look at."""
        self._terminal.chapter("7. The same manifest again: another key; the old ones stay revoked")
        self._shell.show(f"kubectl apply -f {QUICKSTART}/")
        self._shell.show(f"kubectl wait -n {TEAM} --for=condition=Ready --timeout=30s apikey/checkout")
        self._tell_log()

    def clean_up(self) -> None:
        """Delete the namespaces while the operator runs: nothing holds them up."""
        self._terminal.chapter("7. Clean up")
        self._shell.show(f"kubectl delete namespace {TEAM} {SYSTEM}")

    def _annotate(self, verb: str, token: str, *, revision: int) -> None:
        self._shell.show(f"kubectl annotate -n {TEAM} apikey checkout keywright.dev/{verb}={token}")
        wanted = f"jsonpath='{{.status.revision}}'={revision}"
        self._shell.show(f"kubectl wait -n {TEAM} --for={wanted} --timeout=30s apikey/checkout")

    def _show_records(self, count: int) -> None:
        """Show the records, once the operator has confirmed each."""
        inforce = "jsonpath='{.status.conditions[0].reason}'=InForce"
        self._shell.read(f"kubectl wait -n {SYSTEM} --for={inforce} --timeout=30s revocations --all")
        self._shell.show(f"kubectl get -n {SYSTEM} revocations")
        found = len(self._shell.read(f"kubectl get -n {SYSTEM} revocations -o name").split())
        if found != count:
            raise DemoError(f"{found} records instead of {count}", "make demo starts afresh.")

    def _keys(self) -> list[dict[str, Any]]:
        printed = self._shell.read(f"kubectl get -n {TEAM} apikey checkout -o json")
        return list(json.loads(printed)["status"]["keys"])

    def _show_generations(self) -> None:
        rows = [
            (str(key["revision"]), key["id"], key["state"], _valid_until(key), key["digest"][:19] + "…")
            for key in self._keys()
        ]
        self._terminal.say("What the status says of each generation:")
        self._terminal.table(("REVISION", "KEY-ID", "STATE", "VALID UNTIL", "DIGEST"), rows)

    def _tell_log(self) -> None:
        self._terminal.log(self._operator.name, self._operator.news())


def _valid_until(key: dict[str, Any]) -> str:
    if key["state"] == "Revoked":
        return "never again"
    return str(key.get("retiresAt") or key["expiresAt"])


def _described(text: str) -> str:
    """Trim the empty lines of `kubectl describe`."""
    return "\n".join(line for line in text.splitlines() if line.strip())


def _keys_only(text: str) -> str:
    """Trim an ApiKey's YAML to `status.keys`."""
    lines = text.splitlines()
    begin = lines.index("  keys:", lines.index("status:"))
    end = next(i for i in range(begin + 1, len(lines)) if not lines[i].startswith(("  -", "    ")))
    return "\n".join(["…", "status:", "  …", *lines[begin:end], "  …"])
