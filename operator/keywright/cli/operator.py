"""`keywright operator`: flags in, a running operator out; every refusal names the flag and the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from keywright.cli.flags import LATER, operator_flags

if TYPE_CHECKING:
    from collections.abc import Sequence

    from keywright.controller.ports import Options

_EXTRAS = frozenset(
    {"kubernetes", "aiohttp", "prometheus_client", "structlog", "cronsim", "yaml", "orjson", "uvloop"}
)
_REFUSED = 2
_FAILED = 1


@click.command()
@operator_flags
@click.pass_context
def operator(context: click.Context, /, **flags: Any) -> None:
    """Run the operator: mint, rotate and revoke API keys.

    It needs the CRDs (kubectl apply -f crds/) and the system namespace. It ends on SIGTERM or SIGINT.
    """
    _require_extras()
    from keywright import logs  # noqa: PLC0415  structlog is of the extra
    from keywright.controller.ports import Options, Realm  # noqa: PLC0415

    logs.configure(flags["log_format"], flags["log_level"])
    _say_what_has_no_effect(context)
    options = Options(
        kubeconfig=flags["kubeconfig"],
        realm=Realm(namespaces=flags["namespaces"], system_namespace=flags["system_namespace"]),
        lease_name=flags["lease_name"] if flags["leader_elect"] else None,
        bind_address=flags["bind_address"],
        ops_port=flags["ops_port"],
        watch_secrets=flags["watch_secrets"],
        rollout_restart=flags["rollout_restart"],
    )
    sys.exit(_serve(options))


def _serve(options: Options) -> int:
    import structlog  # noqa: PLC0415
    import uvloop  # noqa: PLC0415

    from keywright.controller.app import serve  # noqa: PLC0415
    from keywright.controller.preflight import RefusedError  # noqa: PLC0415
    from keywright.controller.reconcile import Reconciler  # noqa: PLC0415
    from keywright.kube.credentials import ConfigurationError  # noqa: PLC0415
    from keywright.logs import describe  # noqa: PLC0415

    log = structlog.get_logger("keywright")
    try:
        uvloop.run(serve(options, Reconciler))
    except ConfigurationError as error:
        remedy = "give the path of a kubeconfig" if options.kubeconfig else "give one, or set $KUBECONFIG"
        return _refuse(f"--kubeconfig: {error}: {remedy}")
    except RefusedError as error:
        return _refuse(str(error))
    except Exception as error:  # noqa: BLE001  the last place to say anything
        log.critical("the operator ends", error=describe(error))
        return _FAILED
    return 0


def _refuse(line: str) -> int:
    click.echo(f"keywright: {line}", err=True)
    return _REFUSED


def _require_extras() -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if any(find_spec(module) is None for module in _EXTRAS):
        raise click.UsageError('this command needs more packages: pip install "keywright[operator]"')


def _say_what_has_no_effect(context: click.Context) -> None:
    import structlog  # noqa: PLC0415

    log = structlog.get_logger("keywright")
    given: Sequence[str] = [
        flag
        for name, flag in LATER.items()
        if context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        log.warning("without effect yet", flags=", ".join(given))
