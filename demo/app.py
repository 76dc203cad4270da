"""The application behind the gateway, a program of its own: it answers with what reached it.

Run as `python demo/app.py`; its first line says on which port of 127.0.0.1 it listens.
"""

from __future__ import annotations

import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Echo(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body go together: apart they wait for each other's acknowledgement, 40 ms

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        head = sorted(f"{name.lower()}: {value}".rstrip() for name, value in self.headers.items())
        body = "\n".join([f"{self.command} {self.path}", *head, ""]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = _answer  # noqa: N815  named by http.server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  as http.server has it
        """Say nothing of requests."""


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Echo)
    server.daemon_threads = True
    sys.stdout.write(f"port={server.server_address[1]}\n")
    sys.stdout.flush()
    server.serve_forever()
