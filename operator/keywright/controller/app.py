"""The operator as a process: what it is made of, in which order it starts, and how it ends.

The reconciler itself sees no process and no clock but the one it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import structlog

from keywright.controller import preflight
from keywright.controller.cache import KINDS, Cache, key_of, version_of
from keywright.controller.census import Census
from keywright.controller.leadership import Leadership
from keywright.controller.metrics import Metrics
from keywright.controller.ops import OpsServer
from keywright.controller.queue import Queue
from keywright.controller.sight import clock_trusted
from keywright.controller.usage import Scraper
from keywright.controller.watches import Watches
from keywright.kube import paths
from keywright.kube.client import Client
from keywright.kube.errors import ApiError, TransportError
from keywright.kube.events import Recorder
from keywright.kube.lease import Lease
from keywright.logs import describe

if TYPE_CHECKING:
    from keywright.controller.ports import Options, ReconcilerFactory

log = structlog.get_logger("keywright.app")

_HEARTBEAT = 15.0
_SILENCE = 60.0
_GRACE = 0.3  # for passes and Events in flight at the end; what is cut off is done again by the next process


class App:
    """Everything that lives as long as the process."""

    def __init__(self, options: Options, client: Client, metrics: Metrics, make: ReconcilerFactory) -> None:
        self._options = options
        self._client = client
        self._realm = options.realm
        self.cache = Cache()
        self.queue = Queue(metrics)
        self._recorder = Recorder(client)
        self._watches = Watches(
            client,
            self.cache,
            options.realm,
            self.receive,
            secrets=options.watch_secrets,
            lost=self._look_for_secrets,
        )
        self._all_known = asyncio.Event()
        lease = _lease(options, client)
        if lease is not None:
            client.fence = lease.require
        self._ops = OpsServer(alive=self.alive, ready=self.ready, registry=metrics.registry)
        self._tasks: list[asyncio.Task[None]] = []
        self._reconciler = make(
            client,
            self.cache,
            self._recorder,
            options=options,
            watching=self._watches.listed,
            wake=self._wake,
            clock=lambda: datetime.now(UTC),
            tally=metrics,
        )
        metrics.registry.register(Census(self.cache, time.time))
        self._scraper = self._make_scraper(metrics)
        self._leadership = Leadership(
            lease, begin=self._reconciler.wake_all, stand_by=self._reconciler.stand_by
        )
        metrics.read_at_scrape(
            depth=self.queue.depth,
            oldest=self.queue.oldest,
            skew=self._skew,
            leader=lambda: float(self._leadership.leads()),
        )

    async def run(self) -> None:
        """Run until cancelled; raises RefusedError where it cannot start, or what made it end."""
        try:
            await self._listen()
            await preflight.require_system_namespace(self._client, self._realm.system_namespace)
            await preflight.warn_of_missing(self._client, self._realm.namespaces)
            await preflight.wait_for_kinds(self._client)
            async with asyncio.TaskGroup() as group:
                self._start(group)
                try:
                    await asyncio.Event().wait()
                finally:
                    # Before the group learns of the end: it would cut off passes that are in progress.
                    await self.close()
        finally:
            await self.close()

    def receive(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take in one watch event: cache first, then whoever it concerns."""
        key = key_of(obj)
        if not self._realm.includes(kind, key.partition("/")[0]):
            return
        self._see_off_namesake(kind, obj)
        before = self.cache.generation(kind, key)
        if event_type == "DELETED":
            self.cache.remove(kind, key, resource_version=obj["metadata"].get("resourceVersion"))
        else:
            self.cache.put(kind, obj)
        if kind in KINDS and self.cache.generation(kind, key) != before:
            name = f"{kind}:{key}"
            self.queue.forget(name)
            if kind == "revocation" or "deletionTimestamp" in obj["metadata"]:
                self._wake(name, urgent=True)
        self._tell(kind, event_type, obj)

    def _see_off_namesake(self, kind: str, obj: dict[str, Any]) -> None:
        """Tell of the end of an ApiKey that another one of its name has replaced without an event."""
        key = key_of(obj)
        known = self.cache.version(kind, key)
        if kind != "apikey" or known is None or known[0] == obj["metadata"]["uid"]:
            return
        last = self.cache.get(kind, key)
        if last is not None and known[1] < version_of(obj):
            self._tell(kind, "DELETED", last)

    def _tell(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        try:
            self._reconciler.observe(kind, event_type, obj)
        except Exception as error:  # noqa: BLE001  one poisoned object must not end the watch of all
            log.error("event not understood", kind=kind, key=key_of(obj), error=describe(error))  # noqa: TRY400

    def alive(self) -> list[str]:
        """Return why the process should be restarted."""
        ended = [f"task ended: {task.get_name()}" for task in self._tasks if task.done()]
        return ended + [f"no end in sight for {key}" for key in self.queue.stuck()]

    def ready(self) -> list[str]:
        """Return why the operator does not do its work now; standing by is work."""
        problems = [] if self._all_known.is_set() else ["not everything that exists is known yet"]
        last = self._client.last_contact
        if last is None or time.monotonic() - last > _SILENCE:
            problems.append(f"the API server has not answered for {_SILENCE:.0f} s")
        if not clock_trusted(self._client):
            problems.append(f"the clock differs from the API server's by {self._skew():.0f} s: set it")
        return problems + self._leadership.problems()

    async def close(self) -> None:
        """End every task and connection; calling it again does nothing."""
        self.queue.stop()
        tasks, self._tasks = self._tasks, []
        if tasks:
            await asyncio.wait(tasks[:1], timeout=_GRACE)  # the workers
            await self._recorder.drain(_GRACE)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._leadership.release()
        await self._ops.close()
        await self._client.close()

    async def _listen(self) -> None:
        address, port = self._options.bind_address, self._options.ops_port
        try:
            await self._ops.start(address, port)
        except OSError as error:
            unknown = isinstance(error, socket.gaierror)
            why = "no such address" if unknown else os.strerror(error.errno or 0)
            raise preflight.RefusedError(
                f"--bind-address, --ops-port: cannot listen on {address}:{port}: {why}; "
                "choose another, or --ops-port 0 for a free one",
            ) from None

    def _make_scraper(self, metrics: Metrics) -> Scraper | None:
        if self._options.usage is None:
            return None
        usage = self._reconciler.usage
        scraper = Scraper(
            self._client,
            self.cache,
            usage,
            options=self._options.usage,
            wake=self._wake,
            clock=lambda: datetime.now(UTC),
            metrics=metrics,
        )
        metrics.read_usage_at_scrape(
            verifiers=scraper.verifiers,
            oldest=scraper.oldest,
            retiring=lambda: usage.retiring_in_use(datetime.now(UTC)),
        )
        return scraper

    def _start(self, group: asyncio.TaskGroup) -> None:
        jobs = {
            "workers": self.queue.run(
                self._reconciler.reconcile,
                self._options.workers,
                gate=self._leadership.acting,
            ),
            "watches": self._watches.run(),
            "barrier": self._open(),
            "leadership": self._leadership.run(self._all_known),
            "events": self._recorder.run(),
            "heartbeat": self._beat(),
        }
        if self._scraper is not None:
            jobs["usage"] = self._scraper.run(self._leadership.acting)
        self._tasks = [group.create_task(job, name=name) for name, job in jobs.items()]

    async def _open(self) -> None:
        """Let the workers begin once everything that existed at start is known."""
        await self._watches.settled()
        log.info("everything listed is known", **{kind: len(self.cache.keys(kind)) for kind in KINDS})
        self._all_known.set()
        await asyncio.Event().wait()

    async def _beat(self) -> None:
        """Ask for something small: an idle operator must notice an API server that is gone, and the time."""
        while True:
            with contextlib.suppress(ApiError, TransportError):
                await self._client.get(paths.SERVER_VERSION)
            if not clock_trusted(self._client):
                log.warning("the clock differs from the API server's", seconds=round(self._skew()))
            await asyncio.sleep(_HEARTBEAT)

    def _wake(self, key: str, *, urgent: bool = False, last: bool = False) -> None:
        """Queue a name; while another replica acts nothing is queued, and everything once this one does."""
        if self._leadership.acting.is_set():
            self.queue.add(key, urgent=urgent, last=last)

    def _look_for_secrets(self, namespace: str | None) -> None:
        """Have the ApiKeys of a namespace (None: all) looked at: those at rest have trusted in its watch."""
        for key in self.cache.keys("apikey"):
            if namespace in {None, key.partition("/")[0]}:
                self._wake(f"apikey:{key}", last=True)

    def _skew(self) -> float:
        return self._client.skew.total_seconds() if self._client.skew is not None else 0.0


def _lease(options: Options, client: Client) -> Lease | None:
    if options.lease_name is None:
        return None
    # A name of its own for each process: one that is started anew in the same pod is another candidate.
    identity = f"{socket.gethostname()}_{secrets.token_hex(4)}"
    return Lease(client.unfenced(), options.realm.system_namespace, options.lease_name, identity)


async def serve(options: Options, make: ReconcilerFactory) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    metrics = Metrics()
    client = await Client.connect(options.kubeconfig, observe=metrics.count_request)
    main = asyncio.current_task()
    assert main is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await App(options, client, metrics, make).run()
