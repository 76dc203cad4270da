"""What does a client of the gateway see? Requests with the key in every state, sent by curl as shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from demo.failure import DemoError
from demo.stage import TEAM
from demo.stopwatch import Stopwatch

if TYPE_CHECKING:
    from demo.gateway import Gateway
    from demo.shell import Shell
    from demo.terminal import Terminal

PATH = "/payments/42"
VALUE = f"kubectl get -n {TEAM} secret checkout-key -o jsonpath='{{.data.apiKey}}' | base64 -d"

_BEARER = '-H "Authorization: Bearer $KEY"'
_CODE = r"-o /dev/null -w '%{http_code}\n'"
_EACH = f'for each in "$OLD" "$KEY"; do curl -s {_CODE} $API{PATH} -H "Authorization: Bearer $each"; done'
_UNTOLD = ("date:", "server:", "content-length:", "content-type:", "x-envoy-")


class Requests:
    """What is asked, in the order of the story."""

    def __init__(self, terminal: Terminal, shell: Shell, gateway: Gateway) -> None:
        self._terminal = terminal
        self._shell = shell
        self._gateway = gateway

    def without_a_key(self) -> None:
        """Ask as anybody can."""
        self._shell.set("API", self._gateway.url)
        self._expect(401, f"curl -si $API{PATH}")

    def with_it(self) -> None:
        """Ask as the owner of the key; the application shows what it got."""
        self._terminal.say("With the key: the application learns who asks, and never sees the key.")
        self._shell.keep("KEY", VALUE)
        self._expect(200, f"curl -si $API{PATH} {_BEARER}")

    def out_of_scope(self) -> None:
        """Ask for what the key may not do."""
        self._terminal.say(
            "A refund needs the scope payments:refund, says the Project; this key has payments:read."
        )
        self._expect(403, f"curl -si -X POST $API{PATH}/refunds {_BEARER}")

    def over_the_limit(self) -> None:
        """Ask too often."""
        self._terminal.say("At most three requests a minute, from now on:")
        self._limit('[{"requests":3,"period":"1m"}]')
        self._shell.show(f"for n in 1 2 3 4 5; do curl -s {_CODE} $API{PATH} {_BEARER}; done")
        self._expect(429, f"curl -si $API{PATH} {_BEARER}")
        self._limit("null")

    def with_both(self) -> None:
        """Ask with both keys of a rotation."""
        self._terminal.say("Both are good: nobody has to switch at the same moment.")
        self._take_the_next()
        self._shell.show_once(_EACH, "200\n200\n")

    def with_the_leaked_one(self) -> None:
        """Ask with the key that was revoked, and with its successor."""
        self._terminal.say("The leaked one is of no use to anybody any more:")
        self._take_the_next()
        self._shell.show_once(_EACH, "401\n200\n")

    def until_denied(self, delete: str) -> None:
        """Run the command that deletes the ApiKey while the key is asked with all the time."""
        self._terminal.say(
            "Meanwhile one request after another goes through the gateway. When does the API server answer?"
        )
        with Stopwatch(self._gateway.port, PATH, self._shell.read('printf %s "$KEY"')) as stopwatch:
            said = self._shell.show(f"{delete} -v=6", _without_settings)
        if stopwatch.status != 401:
            raise DemoError(f"the answer was {stopwatch.status} instead of 401", "make demo starts afresh.")
        took = stopwatch.milliseconds_since(said)
        when = f"within {took:.1f} ms of" if took >= 0 else f"{-took:.1f} ms before kubectl had"
        self._terminal.result(
            f"Revoked {when} the API server's answer: 401 {stopwatch.code},"
            f" after {stopwatch.allowed} requests that were allowed."
        )
        self._expect(401, f"curl -si $API{PATH} {_BEARER}")

    def _take_the_next(self) -> None:
        self._shell.set("OLD", "$KEY")
        self._shell.keep("KEY", VALUE)

    def _limit(self, limits: str) -> None:
        patch = f"""'{{"spec":{{"rateLimits":{limits}}}}}'"""
        self._shell.show(f"kubectl patch -n {TEAM} apikey checkout --type=merge -p {patch}")

    def _expect(self, status: int, line: str) -> None:
        printed = self._shell.show(line, _told)
        if not printed.startswith(f"HTTP/1.1 {status} "):
            raise DemoError(f"`{line}` is not answered with {status}", "make demo starts afresh.")


def _told(answer: str) -> str:
    """Trim an answer's headers to those that tell something."""
    head, _, body = answer.replace("\r", "").partition("\n\n")
    lines = [line for line in head.splitlines() if not line.lower().startswith(_UNTOLD)]
    return "\n".join([*lines, "", *(line for line in body.splitlines())])


def _without_settings(said: str) -> str:
    """Trim what kubectl says of itself before it asks."""
    return "\n".join(line for line in said.splitlines() if "Response" in line or not line.startswith("I"))
