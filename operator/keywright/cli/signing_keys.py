"""`keywright signing-keys`: makes what `keywright verifier --signing-keys` reads, and moves its keys on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Callable

_DIRECTORY = click.argument("directory", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))


@click.group("signing-keys")
def signing_keys() -> None:
    """Make and rotate the keys that sign revocation lists.

    DIR holds them as files; a Secret of it is made by kubectl create secret generic --from-file=DIR.
    """


@signing_keys.command()
@_DIRECTORY
def new(directory: Path) -> None:
    """Make DIR with the first keys, and the epoch 1."""
    _require_extras()
    from keywright.verifier.key_rotation import create  # noqa: PLC0415  joserfc is of the extra

    for name in _done(create, directory):
        click.echo(f"wrote {directory / name}")


@signing_keys.command()
@_DIRECTORY
def promote(directory: Path) -> None:
    """Let the next keys sign, keep the current ones as previous, make new next ones."""
    _require_extras()
    from keywright.verifier.key_rotation import promote as promoted  # noqa: PLC0415

    for kid in _done(promoted, directory):
        click.echo(f"current is now {kid}")


def _done(work: Callable[[Path], list[str]], directory: Path) -> list[str]:
    from keywright.verifier.key_files import SigningKeysError  # noqa: PLC0415

    try:
        return work(directory)
    except SigningKeysError as error:
        raise click.UsageError(error.message) from None


def _require_extras() -> None:
    from importlib.util import find_spec  # noqa: PLC0415

    if find_spec("joserfc") is None:
        raise click.UsageError('this command needs more packages: pip install "keywright[verifier]"')
