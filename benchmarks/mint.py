"""`python -m benchmarks.mint`: what is measured, with how many keys, and in which form it is told."""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sys
from typing import TYPE_CHECKING, Any

from benchmarks import race, report, restart, rotations
from benchmarks.contenders import EndedError
from benchmarks.progress import Progress
from benchmarks.stage import Stage
from benchmarks.watch import NotReachedError
from controlplane.errors import ControlPlaneError

if TYPE_CHECKING:
    from collections.abc import Sequence

_KEYS = {"race": 1000, "rotations": 1000, "restart": 10_000}


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit code."""
    # So that a run that is cut short still ends what it began.
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    options = _options(arguments)
    progress = Progress()
    progress.say("a cluster of its own")
    try:
        with contextlib.closing(Stage()) as stage:
            found = _measure(stage, options, progress)
    except (ControlPlaneError, EndedError, NotReachedError) as error:
        print(f"benchmark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    found = {"benchmark": options.what, "machine": report.machine(), **found}
    print(json.dumps(found, indent=2) if options.json else report.text(found))
    return 0


def _measure(stage: Stage, options: argparse.Namespace, progress: Progress) -> dict[str, Any]:
    keys = options.keys or _KEYS[options.what]
    match options.what:
        case "rotations":
            return rotations.rotations(stage, keys=keys, progress=progress)
        case "restart":
            return restart.restart(stage, keys=keys, progress=progress)
        case _:
            return race.race(stage, options.only, keys=keys, runs=options.runs, progress=progress)


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.mint", description=__doc__)
    parser.add_argument(
        "what",
        nargs="?",
        choices=tuple(_KEYS),
        default="race",
        help="race: keys a second, against the ceiling and a textbook operator; rotations: all due at once; "
        "restart: with many keys",
    )
    parser.add_argument(
        "--keys", type=_positive, metavar="N", help="how many: 1000 by default, for restart 10000"
    )
    parser.add_argument(
        "--runs", type=_positive, default=5, metavar="N", help="of each contender: 5 by default"
    )
    parser.add_argument(
        "--only", type=_contenders, default=race.NAMES, metavar="A,B", help=f"of {','.join(race.NAMES)}"
    )
    parser.add_argument("--json", action="store_true", help="every run's figures, for programs")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise ValueError(text)
    return number


def _contenders(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if unknown := set(names) - set(race.NAMES):
        raise argparse.ArgumentTypeError(f"no contender {', '.join(sorted(unknown))}")
    return names


if __name__ == "__main__":
    sys.exit(main())
