"""Are N rotations that fall due in the same second done within the minute?

A cron schedule has no jitter, so this is the worst that can be asked for. The schedule comes from the
Project's defaults, once all keys are minted, and names a minute that is far enough away for every ApiKey to
take it over.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from benchmarks import audit, load
from benchmarks.contenders import Keywright
from benchmarks.measure import percentiles, usage
from benchmarks.session import connect
from benchmarks.stage import user
from benchmarks.watch import ready, watching

if TYPE_CHECKING:
    from benchmarks.progress import Progress
    from benchmarks.stage import Stage

_NAMESPACE = "rotations"
_MARGIN = 15.0
_MINUTE = 60.0


def rotations(stage: Stage, *, keys: int, progress: Progress) -> dict[str, Any]:
    """Return how late the rotations were, in seconds from when they were due, as a watcher saw them."""
    return asyncio.run(_rotations(stage, keys, progress))


async def _rotations(stage: Stage, keys: int, progress: Progress) -> dict[str, Any]:
    stage.open_namespace(_NAMESPACE)
    names = [f"key-{number}" for number in range(keys)]
    async with connect(stage.kubeconfig) as session:
        with contextlib.closing(Keywright(stage)) as contender:
            async with watching(session, _NAMESPACE, ready) as watch:
                progress.say(f"minting {keys:,} keys")
                begun = time.monotonic()
                await load.create(session, _NAMESPACE, names, contender.told)
                alive = contender.require_alive
                await watch.until(keys, seconds=120 + keys, alive=alive, progress=progress)
                due = _minute_after(time.monotonic() - begun + _MARGIN)
                progress.say(f"scheduling their rotation for {due:%H:%M} UTC")
                watch.await_instead(
                    lambda obj: obj["status"].get("nextRotationTime") == f"{due:%Y-%m-%dT%H:%M:%SZ}"
                )
                stage.api.patch("Project", "payments", _NAMESPACE, _schedule(due))
                await watch.until(keys, seconds=_until(due), alive=alive, progress=progress)
                watch.await_instead(lambda obj: obj["status"].get("revision") == 2 and ready(obj))
                requests = audit.Requests(stage.audit_log, user(contender.account))
                before = usage(contender.process.pid)
                await watch.until(keys, seconds=_until(due) + 600, alive=alive, progress=progress)
                at_due = time.monotonic() + _until(due)
                await requests.until_quiet()
                after = usage(contender.process.pid)
    late = [at - at_due for at in watch.at.values()]
    p50, p99, last = percentiles(late, 50, 99, 100)
    return {
        "keys": keys,
        "rotated": len(late),
        "late_p50": p50,
        "late_p99": p99,
        "late_last": last,
        "within_the_minute": last < _MINUTE,
        "cpu_ms_per_key": (after.cpu - before.cpu) / keys * 1000,
        "peak_rss_mb": after.peak,
        "writes_per_key": audit.writes(requests.count(namespace=_NAMESPACE)).total() / keys,
    }


def _minute_after(seconds: float) -> datetime:
    """Return the first full minute that is so many seconds away."""
    earliest = datetime.now(UTC) + timedelta(seconds=seconds)
    return earliest.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _until(due: datetime) -> float:
    return (due - datetime.now(UTC)).total_seconds()


def _schedule(due: datetime) -> dict[str, Any]:
    return {"spec": {"defaults": {"rotation": {"schedule": f"{due.minute} {due.hour} * * *"}}}}
