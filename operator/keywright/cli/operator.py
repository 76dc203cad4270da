"""`keywright operator`: flags in, a running operator out; every refusal names the flag and the remedy."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from keywright.cli.flags import operator_flags

if TYPE_CHECKING:
    from keywright.controller.ports import Options, UsageOptions

_EXTRAS = frozenset(
    {"kubernetes", "aiohttp", "prometheus_client", "structlog", "cronsim", "yaml", "orjson", "uvloop"}
)
_REFUSED = 2
_FAILED = 1


@click.command()
@operator_flags
def operator(**flags: Any) -> None:
    """Run the operator: mint, rotate and revoke API keys.

    It needs the CRDs (kubectl apply -f crds/) and the system namespace. It ends on SIGTERM or SIGINT.
    """
    _require_extras()
    from keywright import logs  # noqa: PLC0415  structlog is of the extra
    from keywright.controller.ports import Options, Realm  # noqa: PLC0415

    options = Options(
        kubeconfig=flags["kubeconfig"],
        realm=Realm(namespaces=flags["namespaces"], system_namespace=flags["system_namespace"]),
        lease_name=flags["lease_name"] if flags["leader_elect"] else None,
        bind_address=flags["bind_address"],
        ops_port=flags["ops_port"],
        watch_secrets=flags["watch_secrets"],
        rollout_restart=flags["rollout_restart"],
        usage=_usage(flags),
    )
    logs.configure(flags["log_format"], flags["log_level"])
    sys.exit(_serve(options))


def _usage(flags: dict[str, Any]) -> UsageOptions | None:
    from pathlib import Path  # noqa: PLC0415

    from keywright.controller.ports import Service, UsageOptions  # noqa: PLC0415

    if flags["usage_token_file"] is None:
        if flags["usage_url"]:
            raise click.UsageError(
                "--usage-url: verifiers want a token; give the file that holds it by --usage-token-file"
            )
        return None
    namespace, _, name = flags["usage_service"].rpartition("/")
    return UsageOptions(
        token_file=Path(flags["usage_token_file"]),
        service=Service(namespace or flags["system_namespace"], name),
        urls=flags["usage_url"],
        interval=flags["usage_interval"],
    )


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
