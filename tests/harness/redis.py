"""A redis-server of the test's own, on a free port, that can be killed, held up and started again.

KEYWRIGHT_TEST_REDIS names one to use instead of the machine's or Debian's; Valkey's server will do as well.
"""

from __future__ import annotations

import signal
import socket
import subprocess
from typing import TYPE_CHECKING

from harness.debian import required
from harness.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


class RedisServer:
    """One run of redis-server; nothing of it is written to disk."""

    def __init__(self, directory: Path, *, password: str | None = None) -> None:
        self._program = required("redis-server")
        self._directory = directory
        self._password = password
        self.port = _free_port()
        self.socket = directory / "redis.sock"
        self.start()

    @property
    def url(self) -> str:
        """Its address, with the password where it asks for one."""
        credentials = f":{self._password}@" if self._password else ""
        return f"redis://{credentials}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, empty, at the same address."""
        settings = ["--port", str(self.port), "--bind", "127.0.0.1", "--unixsocket", str(self.socket)]
        settings += ["--save", "", "--appendonly", "no", "--dir", str(self._directory)]
        settings += ["--requirepass", self._password] if self._password else []
        with (self._directory / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(
                [self._program, *settings], stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._answers, bool, what="redis-server answers")

    def kill(self) -> None:
        """End it as an out-of-memory killer would."""
        self.process.kill()
        self.process.wait()

    def hold_up(self) -> None:
        """Have it answer nothing, with its connections open."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Have it answer again, what it was asked meanwhile first."""
        self.process.send_signal(signal.SIGCONT)

    def command(self, *words: str) -> str:
        """Send one command, as redis-cli would, and return the first part of what comes back."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as connection:
            if self._password:
                connection.sendall(_packed("AUTH", self._password))
                connection.recv(4096)
            connection.sendall(_packed(*words))
            return connection.recv(65536).decode()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            said = (self._directory / "redis.log").read_text(errors="replace")
            raise AssertionError(f"redis-server ended with {self.process.returncode}: {said[-500:]}")
        try:
            return self.command("PING").startswith("+PONG")
        except OSError:
            return False


def _packed(*words: str) -> bytes:
    parts = [f"*{len(words)}", *(line for word in words for line in (f"${len(word)}", word)), ""]
    return "\r\n".join(parts).encode()


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
