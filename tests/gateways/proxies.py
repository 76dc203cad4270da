"""The gateways as they are shipped: each file of examples/gateways as it is, but for addresses and ports."""

from __future__ import annotations

import os
import socket
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import yaml

from gateways.wire import Answered, Sent, send
from harness.cluster import ROOT, controlplane
from harness.debian import required
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SHIPPED = ROOT / "examples" / "gateways"

VERIFIER = "keywright-verifier.keywright-system.svc"
APP = "app.default.svc"

_NGINX = """
daemon off;
worker_processes 1;
pid {home}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    client_body_temp_path {home}/body;
    proxy_temp_path {home}/proxy;
    fastcgi_temp_path {home}/fastcgi;
    uwsgi_temp_path {home}/uwsgi;
    scgi_temp_path {home}/scgi;
    include {site};
}}
"""

# What ingress-nginx makes of an Ingress, as far as it matters here.
_INGRESS = """
server {{
    listen 127.0.0.1:{ports.own};
    {server_snippet}
    location = /_external-auth {{
        internal;
        proxy_pass_request_body off;
        proxy_set_header Content-Length "";
        proxy_set_header Host {verifier};
        proxy_set_header X-Original-URL $scheme://$http_host$request_uri;
        proxy_set_header X-Original-Method $request_method;
        proxy_set_header X-Sent-From "nginx-ingress-controller";
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Auth-Request-Redirect $request_uri;
        {auth_snippet}
        proxy_pass http://127.0.0.1:{ports.verifier}{path};
    }}
    location / {{
        auth_request /_external-auth;
        {auth_response_headers}
        proxy_set_header Host $http_host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $remote_addr;
        proxy_set_header X-Forwarded-Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
        {configuration_snippet}
        proxy_pass http://127.0.0.1:{ports.app};
    }}
}}
"""


class Ports(NamedTuple):
    """Where a gateway listens, and whom it asks and forwards to."""

    own: int
    verifier: int
    app: int


class Gateway:
    """A running gateway; `stop` ends it."""

    def __init__(self, command: list[str | Path], home: Path, port: int) -> None:
        self.port = port
        self._log = home / "log"
        environment = {"PATH": os.environ["PATH"], "HOME": str(home), "XDG_CONFIG_HOME": str(home)}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command, cwd=home, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )
        until(self._listens, bool, seconds=30, what=f"{command[0]} listens")

    def send(self, request: Sent) -> Answered:
        """Send a request as a client of the gateway."""
        return send(self.port, request)

    def stop(self) -> None:
        """End it at once: nothing of it is of use any more."""
        self._process.kill()
        self._process.wait()

    def _listens(self) -> bool:
        if self._process.poll() is not None:
            raise AssertionError(f"ended with {self._process.returncode}: {self._log.read_text()[-2000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def start_envoy(home: Path, ports: Ports) -> Gateway:
    """Start Envoy on examples/gateways/envoy."""
    config = home / "envoy.yaml"
    listens = "address: 0.0.0.0, port_value: "
    config.write_text(
        _addressed(
            SHIPPED / "envoy" / "envoy.yaml",
            {
                f"{listens}8080": f"address: 127.0.0.1, port_value: {ports.own}",
                f"address: {VERIFIER}, port_value: 8080": f"address: 127.0.0.1, port_value: {ports.verifier}",
                f"address: {APP}, port_value: 8080": f"address: 127.0.0.1, port_value: {ports.app}",
            },
        )
    )
    package = find_spec("envoy")
    assert package is not None
    assert package.origin is not None
    program = Path(package.origin).parent / "_bin" / "envoy"
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "warning"]
    return Gateway([program, "-c", config, *options], home, ports.own)


def start_nginx(home: Path, ports: Ports) -> Gateway:
    """Start nginx on examples/gateways/nginx."""
    shipped = SHIPPED / "nginx"
    for snippet in sorted(shipped.glob("keywright-*.conf")):
        (home / snippet.name).write_text(snippet.read_text())
    site = home / "api.conf"
    site.write_text(
        _addressed(
            shipped / "api.conf",
            {
                "listen 8080;": f"listen 127.0.0.1:{ports.own};",
                f"server {VERIFIER}:8080;": f"server 127.0.0.1:{ports.verifier};",
                f"server {APP}:8080;": f"server 127.0.0.1:{ports.app};",
            },
        )
    )
    return _nginx(home, ports, site)


def start_ingress_nginx(home: Path, ports: Ports) -> Gateway:
    """Start nginx as ingress-nginx would on the annotations of examples/gateways/ingress-nginx."""
    ingress = yaml.safe_load((SHIPPED / "ingress-nginx" / "ingress.yaml").read_text())
    prefix = "nginx.ingress.kubernetes.io/"
    said = {name.removeprefix(prefix): value for name, value in ingress["metadata"]["annotations"].items()}
    url = urlsplit(said["auth-url"])
    taken_over = [
        f"auth_request_set $auth_header{number} $upstream_http_{name.lower().replace('-', '_')};"
        f" proxy_set_header {name} $auth_header{number};"
        for number, name in enumerate(said["auth-response-headers"].split(","))
    ]
    site = home / "ingress.conf"
    site.write_text(
        _INGRESS.format(
            ports=ports,
            verifier=url.netloc,
            path=url.path,
            server_snippet=said["server-snippet"],
            auth_snippet=said["auth-snippet"],
            auth_response_headers="\n".join(taken_over),
            configuration_snippet=said["configuration-snippet"],
        )
    )
    return _nginx(home, ports, site)


def start_caddy(home: Path, ports: Ports) -> Gateway:
    """Start Caddy on examples/gateways/caddy."""
    config = home / "Caddyfile"
    config.write_text(
        _addressed(
            SHIPPED / "caddy" / "Caddyfile",
            {
                "http://:8080 {": f"http://:{ports.own} {{\n\tbind 127.0.0.1",
                f"{VERIFIER}:8080": f"127.0.0.1:{ports.verifier}",
                f"{APP}:8080": f"127.0.0.1:{ports.app}",
            },
        )
    )
    program = controlplane("caddy-path")
    return Gateway([program, "run", "--adapter", "caddyfile", "--config", config], home, ports.own)


STARTS: dict[str, Callable[[Path, Ports], Gateway]] = {
    "envoy": start_envoy,
    "nginx": start_nginx,
    "ingress-nginx": start_ingress_nginx,
    "caddy": start_caddy,
}


def _nginx(home: Path, ports: Ports, site: Path) -> Gateway:
    config = home / "nginx.conf"
    config.write_text(_NGINX.format(home=home, site=site))
    return Gateway([required("nginx"), "-c", config, "-p", home, "-e", "stderr"], home, ports.own)


def free_port() -> int:
    """Return a port that nobody listens on: a gateway's configuration names one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _addressed(shipped: Path, changes: Mapping[str, str]) -> str:
    text = shipped.read_text()
    for written, here in changes.items():
        assert text.count(written) == 1, f"{shipped}: {written!r}"
        text = text.replace(written, here)
    return text
