"""`keywright`: the commands, and one line that names the remedy whenever one cannot start."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import click

from keywright.cli.operator import operator
from keywright.cli.signing_keys import signing_keys
from keywright.cli.verifier import verifier

if TYPE_CHECKING:
    from collections.abc import Sequence

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 110}


class OneLine(click.Group):
    """A group whose errors are one line on standard error, without the usage text."""

    def main(self, args: Sequence[str] | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run; exit with 2 where the input is wrong."""
        if not extra.pop("standalone_mode", True):
            return super().main(args, standalone_mode=False, **extra)
        try:
            sys.exit(super().main(args, standalone_mode=False, **extra))
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message())
            sys.exit(error.exit_code)
        except click.ClickException as error:
            click.echo(f"keywright: {error.format_message()}", err=True)
            sys.exit(error.exit_code)
        except click.Abort:
            sys.exit(130)


@click.group(cls=OneLine, context_settings=_SETTINGS)
@click.version_option(version("keywright"), prog_name="keywright", message="%(prog)s %(version)s")
def main() -> None:
    """API keys as a Kubernetes resource: minted, rotated with overlap, revoked for good."""


main.add_command(operator)
main.add_command(verifier)
main.add_command(signing_keys)
