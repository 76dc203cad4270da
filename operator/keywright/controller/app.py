"""The operator as a process: what it is made of, in which order it starts, and how it ends.

Our tasks are born before kopf starts: it takes every later one for its own, and waits for it at
the end. The reconciler itself sees no kopf, no process and no clock but the one it is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import structlog

import kopf
from keywright.controller import handlers, preflight
from keywright.controller.cache import Cache, key_of
from keywright.controller.inventory import Inventory
from keywright.controller.metrics import Metrics
from keywright.controller.ops import OpsServer
from keywright.controller.queue import Queue
from keywright.kube import paths
from keywright.kube.client import Client
from keywright.kube.errors import ApiError, TransportError
from keywright.kube.events import Recorder
from keywright.logs import describe

if TYPE_CHECKING:
    from keywright.controller.ports import Options, ReconcilerFactory
    from keywright.kube.credentials import Identity

log = structlog.get_logger("keywright.app")

MAX_SKEW = timedelta(seconds=30)
_HEARTBEAT = 15.0
_SILENCE = 60.0
_REFUSED = 5.0
_GRACE = 0.3  # for passes and Events in flight at the end; what is cut off is done again by the next process


class App:
    """Everything that lives as long as the process; kopf's memo."""

    def __init__(self, options: Options, client: Client, metrics: Metrics, make: ReconcilerFactory) -> None:
        self._options = options
        self._client = client
        self._realm = options.realm
        self.clusterwide = not options.realm.namespaces
        self.cache = Cache()
        self.queue = Queue(metrics)
        self._recorder = Recorder(client)
        self._inventory = Inventory(client, self.cache, options.realm, self.receive)
        self._ops = OpsServer(alive=self.alive, ready=self.ready, registry=metrics.registry)
        self._served = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._logged_in = False
        self._reconciler = make(
            client,
            self.cache,
            self._recorder,
            realm=options.realm,
            wake=self.queue.add,
            clock=lambda: datetime.now(UTC),
            minted=metrics.count_mint,
        )
        metrics.read_at_scrape(depth=self.queue.depth, oldest=self.queue.oldest, skew=self._skew)

    def __copy__(self) -> App:
        """Return itself: kopf copies the memo for each object."""
        return self

    async def run(self) -> None:
        """Run until a signal; raises RefusedError where it cannot start, or what made it end."""
        try:
            await self._listen()
            await preflight.require_system_namespace(self._client, self._realm.system_namespace)
            await preflight.warn_of_missing(self._client, self._realm.namespaces)
            async with asyncio.TaskGroup() as group:
                self._start(group)
                await self.queue.started.wait()
                await kopf.operator(
                    registry=handlers.registry,
                    memo=self,
                    standalone=True,
                    clusterwide=self.clusterwide,
                    namespaces=self._realm.watched,
                )
                await self.close()
        finally:
            await self.close()

    def receive(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take in one watch event: cache first, then whoever it concerns."""
        key = key_of(obj)
        if not self._realm.includes(kind, key.partition("/")[0]):
            return
        before = self.cache.generation(kind, key)
        if event_type == "DELETED":
            self.cache.remove(kind, key, resource_version=obj["metadata"].get("resourceVersion"))
        else:
            self.cache.put(kind, obj)
        if self.cache.generation(kind, key) != before:
            name = f"{kind}:{key}"
            self.queue.forget(name)
            if kind == "revocation" or "deletionTimestamp" in obj["metadata"]:
                self.queue.add(name, urgent=True)
        try:
            self._reconciler.observe(kind, event_type, obj)
        except Exception as error:  # noqa: BLE001  kopf would log the message, which may quote the object
            log.error("event not understood", kind=kind, key=key, error=describe(error))  # noqa: TRY400

    async def kinds_missing(self) -> list[str]:
        """Return what hinders serving our kinds; nothing once they are there."""
        problems = await preflight.kinds_missing(self._client)
        if not problems:
            self._served.set()
        return problems

    async def identity(self) -> Identity:
        """Return the credentials; asked for again, kopf was refused with the last ones."""
        if self._logged_in and not await self._client.refresh():
            log.warning(
                "the API server refuses the watch, and there are no other credentials", retry_in=_REFUSED
            )
            await asyncio.sleep(_REFUSED)
        self._logged_in = True
        return await self._client.identity()

    def alive(self) -> list[str]:
        """Return why the process should be restarted."""
        ended = [f"task ended: {task.get_name()}" for task in self._tasks if task.done()]
        return ended + [f"no end in sight for {key}" for key in self.queue.stuck()]

    def ready(self) -> list[str]:
        """Return why the operator does not do its work now."""
        problems = [] if self._inventory.complete.is_set() else ["not everything that exists is known yet"]
        last = self._client.last_contact
        if last is None or time.monotonic() - last > _SILENCE:
            problems.append(f"the API server has not answered for {_SILENCE:.0f} s")
        if abs(self._skew()) > MAX_SKEW.total_seconds():
            problems.append(f"the clock differs from the API server's by {self._skew():.0f} s: set it")
        return problems

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
        await self._ops.close()
        await self._client.close()

    async def _listen(self) -> None:
        address, port = self._options.bind_address, self._options.ops_port
        try:
            await self._ops.start(address, port)
        except OSError as error:
            why = os.strerror(error.errno) if error.errno else type(error).__name__
            raise preflight.RefusedError(
                f"--bind-address, --ops-port: cannot listen on {address}:{port}: {why}; "
                "choose another, or --ops-port 0 for a free one",
            ) from None

    def _start(self, group: asyncio.TaskGroup) -> None:
        jobs = {
            "workers": self.queue.run(
                self._reconciler.reconcile,
                self._options.workers,
                gate=self._inventory.complete,
            ),
            "inventory": self._inventory.run(self._served),
            "events": self._recorder.run(),
            "heartbeat": self._beat(),
        }
        self._tasks = [group.create_task(job, name=name) for name, job in jobs.items()]

    async def _beat(self) -> None:
        """Ask for something small: an idle operator must notice an API server that is gone, and the time."""
        while True:
            with contextlib.suppress(ApiError, TransportError):
                await self._client.get(paths.SERVER_VERSION)
            if abs(self._skew()) > MAX_SKEW.total_seconds():
                log.warning("the clock differs from the API server's", seconds=round(self._skew()))
            await asyncio.sleep(_HEARTBEAT)

    def _skew(self) -> float:
        return self._client.skew.total_seconds() if self._client.skew is not None else 0.0


async def serve(options: Options, make: ReconcilerFactory) -> None:
    """Run the operator until SIGTERM or SIGINT."""
    metrics = Metrics()
    client = await Client.connect(options.kubeconfig, observe=metrics.count_request)
    main = asyncio.current_task()
    assert main is not None
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, main.cancel)  # until kopf sets its own
    with contextlib.suppress(asyncio.CancelledError):
        await App(options, client, metrics, make).run()
