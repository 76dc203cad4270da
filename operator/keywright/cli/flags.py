"""The flags of `keywright operator`, and those that both programs have; values are checked here."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

import click

_LEASE = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


def listed(_context: click.Context, _parameter: click.Parameter, value: str | None) -> tuple[str, ...]:
    """Read --namespaces. Raises click.UsageError."""
    names = [] if value is None else [name.strip() for name in value.split(",")]
    return tuple(dict.fromkeys(_valid("--namespaces", name) for name in names))


def single(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    """Read --system-namespace. Raises click.UsageError."""
    return _valid("--system-namespace", value)


def _lease(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    if len(value) > 253 or not _LEASE.fullmatch(value):
        raise click.UsageError(
            f"--lease-name: {value!r} cannot be the name of a Lease; "
            "give lower-case letters, digits, - and . such as keywright-operator"
        )
    return value


def _bases(_context: click.Context, _parameter: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_base(url) for url in value))


def _base(url: str) -> str:
    """Read one --usage-url; what it holds is not quoted, for it may hold a password."""
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and url.isascii() and not re.search(r"[\s\\]", url)
    except ValueError:
        usable = False
    if not usable or parts.scheme not in {"http", "https"}:
        raise click.UsageError("--usage-url: give http or https, host and port, such as http://verifier:8082")
    if parts.username is not None or parts.password is not None:
        raise click.UsageError(
            "--usage-url: no user and password in it; give the token by --usage-token-file"
        )
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise click.UsageError(
            "--usage-url: nothing after the port; give a verifier's operations port, such as http://verifier:8082"
        )
    return f"{parts.scheme}://{parts.netloc}"


def _service(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    namespace, slash, name = value.rpartition("/")
    if not _NAMESPACE.fullmatch(name) or (slash and not _NAMESPACE.fullmatch(namespace)):
        raise click.UsageError(
            f"--usage-service: {value!r} cannot be a Service; give a name, or namespace and name, "
            "such as keywright-verifier-usage or platform/keywright-verifier-usage"
        )
    return value


def _interval(_context: click.Context, _parameter: click.Parameter, value: str) -> float:
    from keywright.api.meta import parse_duration  # noqa: PLC0415

    try:
        seconds = parse_duration(value).total_seconds()
    except ValueError as error:
        raise click.UsageError(f"--usage-interval: {value!r}: {error}") from None
    if not 1 <= seconds <= 3600:
        raise click.UsageError("--usage-interval: give a duration from 1s to 1h")
    return seconds


def _valid(flag: str, name: str) -> str:
    if not _NAMESPACE.fullmatch(name):
        raise click.UsageError(f"{flag}: {name!r} cannot be a namespace; give names such as team-a,team-b")
    return name


def _flag(*names: str, default: Any = None, **settings: Any) -> Any:
    return click.option(*names, default=default, show_default=default not in {None, ()}, **settings)


_FLAGS = (
    _flag(
        "--kubeconfig",
        metavar="FILE",
        help="Cluster to serve. [default: in a pod its ServiceAccount, else $KUBECONFIG or ~/.kube/config]",
    ),
    _flag("--namespaces", metavar="A,B", callback=listed, help="Serve only these. [default: all namespaces]"),
    _flag(
        "--system-namespace",
        metavar="NAME",
        default="keywright-system",
        callback=single,
        help="Where revocation records are kept; it must exist.",
    ),
    _flag(
        "--leader-elect/--no-leader-elect",
        default=True,
        help="Let one of several replicas act, by a Lease in the system namespace; without, each acts.",
    ),
    _flag(
        "--lease-name",
        metavar="NAME",
        default="keywright-operator",
        callback=_lease,
        help="That Lease; the chart grants the right to use it under its default name.",
    ),
    _flag(
        "--watch-secrets/--no-watch-secrets",
        default=True,
        help="Notice a lost Secret at once, by a watch (metadata only); without it within ten minutes.",
    ),
    _flag(
        "--rollout-restart/--no-rollout-restart",
        default=False,
        help="Restart the workloads that an ApiKey lists for each new key.",
    ),
    _flag(
        "--usage-url",
        metavar="URL",
        multiple=True,
        callback=_bases,
        help="A verifier's operations port, to read last-used times from; repeatable. "
        "[default: those of --usage-service]",
    ),
    _flag(
        "--usage-service",
        metavar="[NAMESPACE/]NAME",
        default="keywright-verifier-usage",
        callback=_service,
        help="The Service of verifiers whose endpoints are read, by its port named ops; without a namespace, "
        "in the system namespace.",
    ),
    _flag(
        "--usage-token-file",
        metavar="FILE",
        help="Bearer token that the verifiers' /usage wants; without it none is read.",
    ),
    _flag(
        "--usage-interval",
        metavar="DURATION",
        default="30s",
        callback=_interval,
        help="How often each is read.",
    ),
    _flag(
        "--bind-address",
        metavar="ADDRESS",
        default="127.0.0.1",
        help="Where /healthz, /readyz and /metrics listen.",
    ),
    _flag(
        "--ops-port",
        metavar="PORT",
        type=click.IntRange(0, 65535),
        default=8081,
        help="Their port; 0 picks a free one and logs it.",
    ),
    _flag(
        "--log-format",
        type=click.Choice(["console", "json"]),
        default="console",
        help="How log lines are written, to standard error.",
    ),
    _flag(
        "--log-level",
        type=click.Choice(["debug", "info", "warning", "error"], case_sensitive=False),
        default="info",
        help="What is logged.",
    ),
)


def operator_flags(command: Any) -> Any:
    """Give a command the operator's flags."""
    for flag in reversed(_FLAGS):
        command = flag(command)
    return command
