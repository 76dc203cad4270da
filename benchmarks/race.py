"""How fast do N ApiKeys become Ready, with whom, and what does that take?

Contenders take turns, run by run, so that whatever else the machine does weighs on all of them. Each run has
a namespace of its own and a contender that was just started and has made one ApiKey Ready before; what a run
has made is removed before the next. The clock runs from the first request to create an ApiKey until a watcher
has seen the last of them Ready.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import time
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any

from benchmarks import audit, load
from benchmarks.contenders import Ceiling, Keywright, Textbook
from benchmarks.measure import percentiles, usage
from benchmarks.session import connect
from benchmarks.stage import user
from benchmarks.watch import ready, watching

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import aiohttp

    from benchmarks.contenders import Contender
    from benchmarks.progress import Progress
    from benchmarks.stage import Stage
    from benchmarks.watch import Watch

_CONTENDERS: dict[str, Callable[[Stage, str], Contender]] = {
    "ceiling": Ceiling,
    "keywright": Keywright,
    "textbook": Textbook,
    "keywright-admission": Keywright,
}
NAMES = tuple(_CONTENDERS)
_WARM = "warm-up"


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run: seconds, MB (10^6 bytes), keys a second; requests are those for each ApiKey, by kind."""

    ready: int
    seconds: float
    rate: float
    latency_p50: float
    latency_p95: float
    latency_p99: float
    cpu_seconds: float
    cpu_ms_per_key: float
    apiserver_cpu_seconds: float
    rss_mb: float
    peak_rss_mb: float
    writes_per_key: float
    requests_per_key: dict[str, float]


def race(stage: Stage, names: Sequence[str], *, keys: int, runs: int, progress: Progress) -> dict[str, Any]:
    """Let contenders take turns; return every run, the medians and the ratios that matter."""
    done: dict[str, list[Run]] = {name: [] for name in names}
    for number in range(1, runs + 1):
        for name in names:
            progress.say(f"run {number} of {runs}: {name}")
            run = asyncio.run(_run(stage, name, f"{name}-{number}", keys, progress))
            progress.say(_in_short(run))
            done[name].append(run)
    medians = {name: _medians(ran) for name, ran in done.items()}
    contenders = {
        name: {"median": medians[name], "runs": [asdict(run) for run in ran]} for name, ran in done.items()
    }
    return {"keys": keys, "runs": runs, "contenders": contenders, "ratios": _ratios(medians)}


async def _run(stage: Stage, name: str, namespace: str, keys: int, progress: Progress) -> Run:
    stage.open_namespace(namespace, admission=name == "keywright-admission")
    names = [f"key-{number}" for number in range(keys)]
    async with connect(stage.kubeconfig) as session:
        with contextlib.closing(_CONTENDERS[name](stage, namespace)) as contender:
            async with watching(session, namespace, ready) as watch:
                await load.create(session, namespace, [_WARM], contender.told)
                await watch.until(1, seconds=120, alive=contender.require_alive, progress=progress)
                watch.await_instead(lambda obj: obj["metadata"]["name"] != _WARM and ready(obj))
                run = await _timed(stage, session, contender, watch, namespace, names, progress)
        await load.release(session, namespace, [_WARM, *names])
    stage.delete_namespace(namespace)
    return run


async def _timed(
    stage: Stage,
    session: aiohttp.ClientSession,
    contender: Contender,
    watch: Watch,
    namespace: str,
    names: list[str],
    progress: Progress,
) -> Run:
    pid, count = contender.process.pid, len(names)
    requester = user(contender.account)
    await audit.Requests(stage.audit_log, requester).until_quiet()
    requests = audit.Requests(stage.audit_log, requester)
    before, server = usage(pid), usage(stage.apiserver)
    begun = time.monotonic()
    created = await load.create(session, namespace, names, contender.told)
    await watch.until(count, seconds=120 + count, alive=contender.require_alive, progress=progress)
    seconds = max(watch.at.values()) - begun
    await requests.until_quiet()
    after = usage(pid)
    p50, p95, p99 = percentiles([watch.at[name] - created[name] for name in names], 50, 95, 99)
    counted = requests.count(namespace=namespace)
    return Run(
        ready=len(watch.at),
        seconds=seconds,
        rate=count / seconds,
        latency_p50=p50,
        latency_p95=p95,
        latency_p99=p99,
        cpu_seconds=after.cpu - before.cpu,
        cpu_ms_per_key=(after.cpu - before.cpu) / count * 1000,
        apiserver_cpu_seconds=usage(stage.apiserver).cpu - server.cpu,
        rss_mb=after.rss,
        peak_rss_mb=after.peak,
        writes_per_key=audit.writes(counted).total() / count,
        requests_per_key={what: number / count for what, number in sorted(counted.items())},
    )


def _in_short(run: Run) -> str:
    times = f"p50 {run.latency_p50:.2f} s, p99 {run.latency_p99:.2f} s"
    return (
        f"  {run.rate:.1f} keys/s, {times}, {run.cpu_ms_per_key:.1f} ms CPU a key, {run.peak_rss_mb:.0f} MB"
    )


def _medians(ran: Sequence[Run]) -> dict[str, float]:
    """Return the median of each figure, taken by itself."""
    numbers = [field.name for field in fields(Run) if field.type in {"int", "float"}]
    return {name: statistics.median(getattr(run, name) for run in ran) for name in numbers}


def _ratios(medians: dict[str, dict[str, float]]) -> dict[str, float]:
    """Return one contender's figure over another's, where both took part."""
    wanted = (
        ("rate", "keywright", "ceiling"),
        ("rate", "keywright", "textbook"),
        ("cpu_seconds", "keywright", "textbook"),
        ("peak_rss_mb", "keywright", "textbook"),
        ("rate", "keywright-admission", "keywright"),
    )
    return {
        f"{figure} {one}/{other}": medians[one][figure] / medians[other][figure]
        for figure, one, other in wanted
        if one in medians and other in medians and medians[other][figure]
    }
