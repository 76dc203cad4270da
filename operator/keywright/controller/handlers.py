"""All of kopf: it runs the process, finds our resources and watches them; nothing else.

Only `on.event` is used: kopf's change handlers, timers and daemons would keep their state in
annotations, copy specs there and put a finalizer of their own on every object. What each setting
is there for was tried on the pinned version; tests/kopf/ tries it again.
"""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING, Any, Protocol

import kopf
from keywright.api.meta import GROUP, VERSION
from keywright.kube.paths import PLURALS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from keywright.kube.credentials import Identity


class Controller(Protocol):
    """What the handlers hand everything to; it travels as kopf's memo."""

    clusterwide: bool

    def __copy__(self) -> Controller:
        """Return itself: kopf copies the memo for each object."""

    def receive(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take in one watch event; its type is None for what a list brought."""

    async def kinds_missing(self) -> list[str]:
        """Return what hinders serving our kinds; nothing once they are there."""

    async def identity(self) -> Identity:
        """Return the credentials, read anew from the second call on."""

    async def close(self) -> None:
        """End every connection and task."""


class Patience:
    """Delays without an end, and iterable as often as it takes.

    kopf ends the process once its delays are used up, so that an outage or, where namespaces are
    listed, a deleted namespace would take the operator down. A generator would be used up for good.
    """

    def __iter__(self) -> Iterator[float]:
        """Return 0.25, 0.5, … 4, then 5 for ever."""
        return itertools.chain((0.25, 0.5, 1.0, 2.0, 4.0), itertools.repeat(5.0))


class NoDiffBase(kopf.DiffBaseStorage):
    """No essence: kopf compares each event with the last one even where no handler asks for it."""

    def build(self, **_: Any) -> Any:
        """Return the essence of nothing."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Return that there was none."""
        return

    def store(self, **_: Any) -> None:
        """Store nothing."""


registry = kopf.OperatorRegistry()
_logins = itertools.count()


@kopf.on.startup(registry=registry)
async def prepare(settings: kopf.OperatorSettings, memo: Any, **_: Any) -> None:
    """Set kopf up, and wait until our kinds are served: without them at start it may stay deaf."""
    controller: Controller = memo
    settings.posting.enabled = False
    settings.queueing.idle_timeout = 0.5  # a task per object that had an event; it ends after this
    settings.queueing.worker_limit = None
    settings.watching.chunk_size = 500
    settings.networking.connect_timeout = 10
    settings.networking.error_backoffs = Patience()
    # Scanning notices CRDs that come late, but waits for ever where it may not list Namespaces.
    settings.scanning.disabled = not controller.clusterwide
    settings.persistence.diffbase_storage = NoDiffBase()
    problems = await controller.kinds_missing()
    if problems:
        raise kopf.TemporaryError("; ".join(problems), delay=5)


@kopf.on.login(registry=registry)
async def log_in(memo: Any, **_: Any) -> kopf.ConnectionInfo:
    """Hand kopf our credentials. Never a session: it closes that on a 401.

    After a 401 or a broken TLS stream kopf asks again and ends the process if it gets the same once
    more. They may well be good the next time, so the priority makes each answer another one.
    """
    controller: Controller = memo
    identity = await controller.identity()
    scheme, _space, token = (identity.authorization or "").partition(" ")
    return kopf.ConnectionInfo(
        server=identity.server,
        ca_path=identity.ca_file,
        insecure=not identity.verify,
        certificate_path=identity.certificate_file,
        private_key_path=identity.key_file,
        scheme=scheme or None,
        token=token.strip() or None,
        proxy_url=identity.proxy,
        priority=next(_logins),
    )


async def observe(*, event: Any, memo: Any, param: Any = None, **_: Any) -> None:
    """Pass a watch event on. Returns nothing: kopf would write a result into the object's status."""
    controller: Controller = memo
    controller.receive(param, event["type"], event["object"])


for _kind, _plural in PLURALS.items():
    kopf.on.event(GROUP, VERSION, _plural, id=_kind, param=_kind, registry=registry)(observe)


@kopf.on.cleanup(registry=registry)
async def finish(memo: Any, **_: Any) -> None:
    """Close up before kopf looks for tasks left over, which it would wait for.

    One of its own is left over where a watch was cancelled between two of its awaits: the generator of the
    events is then closed by nobody, and the task that waits on its behalf holds up the exit for 5 s.
    """
    controller: Controller = memo
    await controller.close()
    for task in asyncio.all_tasks():
        if task.get_name().startswith("pause-waiter for "):
            task.cancel()
