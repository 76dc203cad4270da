"""What does a restart cost where there are N keys? How long until it is ready, what it writes, what it needs.

Nothing has changed meanwhile, so it should find that and leave it at that: each write of a Secret or a status
would be one too many.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from benchmarks import audit, load
from benchmarks.contenders import Keywright
from benchmarks.measure import usage
from benchmarks.session import connect
from benchmarks.stage import user
from benchmarks.watch import ready, watching

if TYPE_CHECKING:
    from benchmarks.measure import Usage
    from benchmarks.progress import Progress
    from benchmarks.stage import Stage

_NAMESPACE = "restart"
_READY_SECONDS = 300
_WATCHED_SECONDS = 60.0
_SETTLED_SECONDS = 8.0  # a Project counts its keys up to 5 s late, but before the restart


def restart(stage: Stage, *, keys: int, progress: Progress) -> dict[str, Any]:
    """Mint keys, end the operator, start it again and look on for a minute; memory in MB (10^6 bytes)."""
    progress.say(f"minting {keys:,} keys")
    begun = time.monotonic()
    minted = asyncio.run(_mint(stage, keys, progress))
    took = time.monotonic() - begun
    requests = audit.Requests(stage.audit_log, user(Keywright.account))
    progress.say("starting the operator again")
    begun = time.monotonic()
    with contextlib.closing(Keywright(stage)) as contender:
        contender.operator.until_ready(_READY_SECONDS)
        ready_after = time.monotonic() - begun
        progress.say(f"ready after {ready_after:.1f} s; looking on for {_WATCHED_SECONDS:.0f} s")
        time.sleep(_WATCHED_SECONDS)
        used = usage(contender.process.pid)
        counted = requests.count()
    return {
        "keys": keys,
        "minted_in": took,
        "rss_mb_after_minting": minted.rss,
        "peak_rss_mb_minting": minted.peak,
        "ready_after": ready_after,
        "secret_and_status_writes": sum(
            number for what, number in audit.writes(counted).items() if what.endswith(("secrets", "/status"))
        ),
        "requests": dict(sorted(counted.items())),
        "cpu_seconds": used.cpu,
        "rss_mb": used.rss,
        "peak_rss_mb": used.peak,
    }


async def _mint(stage: Stage, keys: int, progress: Progress) -> Usage:
    stage.open_namespace(_NAMESPACE)
    requests = audit.Requests(stage.audit_log, user(Keywright.account))
    names = [f"key-{number}" for number in range(keys)]
    async with connect(stage.kubeconfig) as session:
        with contextlib.closing(Keywright(stage)) as contender:
            async with watching(session, _NAMESPACE, ready) as watch:
                await load.create(session, _NAMESPACE, names, contender.told)
                await watch.until(keys, seconds=120 + keys, alive=contender.require_alive, progress=progress)
            await requests.until_quiet(seconds=_SETTLED_SECONDS)
            return usage(contender.process.pid)
