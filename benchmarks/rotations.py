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
from functools import partial
from typing import TYPE_CHECKING, Any

from benchmarks import audit, load
from benchmarks.contenders import Keywright
from benchmarks.measure import percentiles, usage
from benchmarks.session import connect
from benchmarks.stage import user
from benchmarks.watch import ready, watching

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benchmarks.contenders import Contender
    from benchmarks.progress import Progress
    from benchmarks.stage import Stage
    from benchmarks.watch import Watch

    Wait = Callable[..., Awaitable[None]]

_NAMESPACE = "rotations"
_MARGIN = 15.0
_MINUTE = 60.0
_PATIENCE = 600.0  # what is late is to be measured, too
_SECOND = 2  # revision


def rotations(stage: Stage, *, keys: int, progress: Progress) -> dict[str, Any]:
    """Return how late the rotations were, in seconds from when they were due, as a watcher saw them."""
    return asyncio.run(_rotations(stage, keys, progress))


async def _rotations(stage: Stage, keys: int, progress: Progress) -> dict[str, Any]:
    stage.open_namespace(_NAMESPACE)
    names = [f"key-{number}" for number in range(keys)]
    async with connect(stage.kubeconfig) as session:
        with contextlib.closing(Keywright(stage)) as contender:
            async with watching(session, _NAMESPACE, ready) as watch:
                wait = partial(watch.until, keys, alive=contender.require_alive, progress=progress)
                progress.say(f"minting {keys:,} keys")
                begun = time.monotonic()
                await load.create(session, _NAMESPACE, names, contender.told)
                await wait(seconds=120 + keys)
                due = _minute_after(time.monotonic() - begun + _MARGIN)
                progress.say(f"scheduling their rotation for {due:%H:%M} UTC")
                await _schedule(stage, watch, wait, due)
                return {"keys": keys, **await _rotate(stage, contender, watch, wait, due)}


async def _schedule(stage: Stage, watch: Watch, wait: Wait, due: datetime) -> None:
    """Have every ApiKey rotate at that minute, and wait until each of them says so."""
    shown = f"{due:%Y-%m-%dT%H:%M:%SZ}"
    watch.await_instead(lambda obj: obj["status"].get("nextRotationTime") == shown)
    rotation = {"schedule": f"{due.minute} {due.hour} * * *"}
    stage.api.patch("Project", "payments", _NAMESPACE, {"spec": {"defaults": {"rotation": rotation}}})
    await wait(seconds=_until(due))


async def _rotate(
    stage: Stage, contender: Contender, watch: Watch, wait: Wait, due: datetime
) -> dict[str, Any]:
    watch.await_instead(lambda obj: obj["status"].get("revision") == _SECOND and ready(obj))
    requester, pid = user(contender.account), contender.process.pid
    with contextlib.suppress(TimeoutError):  # of what came before, Events may be on their way
        async with asyncio.timeout(max(0.0, _until(due) - 1)):
            await audit.Requests(stage.audit_log, requester).until_quiet()
    requests, before = audit.Requests(stage.audit_log, requester), usage(pid)
    await wait(seconds=_until(due) + _PATIENCE)
    at_due = time.monotonic() + _until(due)
    await requests.until_quiet()
    after, counted = usage(pid), requests.count(namespace=_NAMESPACE)
    count = len(watch.at)
    p50, p99, last = percentiles([at - at_due for at in watch.at.values()], 50, 99, 100)
    return {
        "rotated": count,
        "late_p50": p50,
        "late_p99": p99,
        "late_last": last,
        "within_the_minute": last < _MINUTE,
        "cpu_ms_per_key": (after.cpu - before.cpu) / count * 1000,
        "peak_rss_mb": after.peak,
        "writes_per_key": audit.writes(counted).total() / count,
        "requests_per_key": {what: number / count for what, number in sorted(counted.items())},
    }


def _minute_after(seconds: float) -> datetime:
    """Return the first full minute that is so many seconds away."""
    earliest = datetime.now(UTC) + timedelta(seconds=seconds)
    return earliest.replace(second=0, microsecond=0) + timedelta(minutes=1)


def _until(due: datetime) -> float:
    return (due - datetime.now(UTC)).total_seconds()
