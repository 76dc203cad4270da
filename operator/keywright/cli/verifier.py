"""`keywright verifier`: flags in, a running verifier out; every refusal names the flag and the remedy."""

from __future__ import annotations

import ipaddress
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from keywright.cli.flags import listed, single

if TYPE_CHECKING:
    from keywright.verifier.process import Options

_EXTRAS = frozenset(
    {"aiohttp", "httptools", "joserfc", "kubernetes", "orjson", "prometheus_client", "redis", "structlog"}
    | {"uvicorn", "uvloop", "yaml"}
)
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_REFUSED, _FAILED = 2, 1


def _networks(_context: click.Context, _parameter: click.Parameter, value: str) -> Any:
    try:
        return tuple(ipaddress.ip_network(text.strip()) for text in value.split(","))
    except ValueError:
        raise click.UsageError(
            f"--trusted-proxies: {value!r} is no list of networks; give such as 127.0.0.0/8,10.42.0.0/16"
        ) from None


def _header(_context: click.Context, parameter: click.Parameter, value: str) -> str:
    if not _HEADER.fullmatch(value):
        raise click.UsageError(f"{parameter.opts[0]}: {value!r} is no header; give such as X-Forwarded-For")
    return value.lower()


def _seconds(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    from keywright.api.meta import parse_duration  # noqa: PLC0415

    try:
        seconds = parse_duration(value).total_seconds()
    except ValueError as error:
        raise click.UsageError(f"--max-staleness: {value!r}: {error}") from None
    if seconds < 30:
        raise click.UsageError("--max-staleness: what is proven every 15 s needs at least 30s")
    return seconds


@click.command()
@click.option(
    "--kubeconfig",
    metavar="FILE",
    help="Cluster to serve. [default: in a pod its ServiceAccount, else $KUBECONFIG or ~/.kube/config]",
)
@click.option(
    "--namespaces", metavar="A,B", callback=listed, help="Know only these. [default: all namespaces]"
)
@click.option(
    "--system-namespace",
    metavar="NAME",
    default="keywright-system",
    show_default=True,
    callback=single,
    help="Where revocation records are kept.",
)
@click.option(
    "--bind-address", metavar="ADDRESS", default="127.0.0.1", show_default=True, help="Where it listens."
)
@click.option(
    "--port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="Port of /authz; 0 picks a free one and logs it.",
)
@click.option(
    "--ops-port",
    metavar="PORT",
    type=click.IntRange(0, 65535),
    default=8082,
    show_default=True,
    help="Port of /healthz, /readyz and /metrics; 0 picks a free one and logs it.",
)
@click.option(
    "--trusted-proxies",
    metavar="CIDRS",
    default="127.0.0.0/8,::1/128",
    show_default=True,
    callback=_networks,
    help="Networks of the proxies that ask; what others say of a client or a path is not believed.",
)
@click.option(
    "--client-ip-header",
    metavar="HEADER",
    default="X-Forwarded-For",
    show_default=True,
    callback=_header,
    help="The header that holds the client's address.",
)
@click.option(
    "--client-ip-hops",
    metavar="N",
    type=click.IntRange(1, 16),
    default=1,
    show_default=True,
    help="Which entry of it, counted from the right: how many trusted proxies append to it.",
)
@click.option(
    "--nginx-path-header",
    type=click.Choice(["X-Original-URI", "X-Original-URL"], case_sensitive=False),
    default="X-Original-URI",
    show_default=True,
    help="Where nginx says which path was asked for; ingress-nginx sends X-Original-URL.",
)
@click.option(
    "--max-staleness",
    metavar="DURATION",
    default="5m",
    show_default=True,
    callback=_seconds,
    help="After this time without proof of being up to date it answers 503.",
)
@click.option(
    "--allow-cors-preflight/--no-allow-cors-preflight",
    default=False,
    show_default=True,
    help="Let browsers' OPTIONS requests pass, which cannot hold a key.",
)
@click.option(
    "--limits-store",
    metavar="URL",
    default="local",
    envvar="KEYWRIGHT_LIMITS_STORE",
    help="Where rate limits are counted: local, each replica for itself, or redis://…, rediss://…, "
    "unix://… for all together; also $KEYWRIGHT_LIMITS_STORE, as it may hold a password.  [default: local]",
)
@click.option(
    "--usage-token-file",
    metavar="FILE",
    help="Serve /usage on the operations port to who sends this bearer token.",
)
@click.option(
    "--log-format",
    type=click.Choice(["console", "json"]),
    default="console",
    show_default=True,
    help="How log lines are written, to standard error.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
    default="info",
    show_default=True,
    help="What is logged.",
)
def verifier(**flags: Any) -> None:
    """Run the verifier: decide for gateways, request by request, whether an API key is good.

    It needs the CRDs and the right to read them; it writes nothing. It ends on SIGTERM or SIGINT.
    """
    _require_extras()
    from keywright import logs  # noqa: PLC0415  structlog is of the extra
    from keywright.verifier.dialects import Proxies  # noqa: PLC0415
    from keywright.verifier.process import Options  # noqa: PLC0415

    usage_token_file = _readable(flags["usage_token_file"])
    logs.configure(flags["log_format"], flags["log_level"])
    sys.exit(
        _serve(
            Options(
                kubeconfig=flags["kubeconfig"],
                namespaces=flags["namespaces"],
                system_namespace=flags["system_namespace"],
                bind_address=flags["bind_address"],
                port=flags["port"],
                ops_port=flags["ops_port"],
                proxies=Proxies(
                    trusted=flags["trusted_proxies"],
                    client_header=flags["client_ip_header"],
                    client_position=flags["client_ip_hops"],
                    nginx_path_header=flags["nginx_path_header"].lower(),
                ),
                max_staleness=flags["max_staleness"],
                allow_preflight=flags["allow_cors_preflight"],
                limits_store=flags["limits_store"],
                usage_token_file=usage_token_file,
            )
        )
    )


def _readable(file: str | None) -> Path | None:
    """Return the file of the token, once it was seen to hold one: a typo would look like a wrong token."""
    if file is None:
        return None
    path = Path(file)
    try:
        held = path.read_bytes().strip()
    except OSError as error:
        raise click.UsageError(
            f"--usage-token-file: {error.strerror}; give a file that can be read"
        ) from None
    if not held:
        raise click.UsageError("--usage-token-file holds no token: write one line of visible ASCII")
    return path


def _serve(options: Options) -> int:
    import structlog  # noqa: PLC0415
    import uvloop  # noqa: PLC0415

    from keywright.kube.credentials import ConfigurationError  # noqa: PLC0415
    from keywright.logs import describe  # noqa: PLC0415
    from keywright.verifier.process import RefusedError, serve  # noqa: PLC0415
    from keywright.verifier.shared_limits import StoreUrlError  # noqa: PLC0415

    log = structlog.get_logger("keywright")
    try:
        uvloop.run(serve(options))
    except ConfigurationError as error:
        remedy = "give the path of a kubeconfig" if options.kubeconfig else "give one, or set $KUBECONFIG"
        return _refuse(f"--kubeconfig: {error}: {remedy}")
    except (RefusedError, StoreUrlError) as error:
        return _refuse(str(error))
    except Exception as error:  # noqa: BLE001  the last place to say anything
        log.critical("the verifier ends", error=describe(error))
        return _FAILED
    return 0


def _refuse(line: str) -> int:
    click.echo(f"keywright: {line}", err=True)
    return _REFUSED


def _require_extras() -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if any(find_spec(module) is None for module in _EXTRAS):
        raise click.UsageError('this command needs more packages: pip install "keywright[verifier]"')
