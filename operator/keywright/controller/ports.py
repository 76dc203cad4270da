"""What the process is told from outside: how it was started, and what it is there to do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path

    from keywright.api.apikey import Cause
    from keywright.controller.cache import Cache
    from keywright.keys.usage import Ledger
    from keywright.kube.client import Client
    from keywright.kube.events import Recorder


@dataclass(frozen=True, kw_only=True)
class Realm:
    """Which namespaces are served; none named: all of them.

    Revocations of the system namespace count everywhere, so they belong to every realm.
    """

    namespaces: tuple[str, ...] = ()
    system_namespace: str = "keywright-system"

    @property
    def watched(self) -> tuple[str, ...]:
        """The namespaces to watch; none: all."""
        if not self.namespaces:
            return ()
        return tuple(dict.fromkeys((*self.namespaces, self.system_namespace)))

    def namespaces_of(self, kind: str) -> tuple[str | None, ...]:
        """Return where objects of a kind count; None alone: everywhere."""
        if not self.namespaces:
            return (None,)
        return self.watched if kind == "revocation" else self.namespaces

    def includes(self, kind: str, namespace: str) -> bool:
        """Return whether an object counts: in the system namespace a watch sees more than is served."""
        return not self.namespaces or namespace in self.namespaces_of(kind)


class Service(NamedTuple):
    """A Service by its name."""

    namespace: str
    name: str


@dataclass(frozen=True, kw_only=True)
class UsageOptions:
    """How verifiers are asked when keys were last used.

    By their addresses in `urls` or, without any, by the endpoints of `service`; with the bearer token that
    stands in a file, every `interval` seconds.
    """

    token_file: Path
    service: Service
    urls: tuple[str, ...] = ()
    interval: float = 30.0


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the operator was started."""

    kubeconfig: str | None = None
    realm: Realm = Realm()
    lease_name: str | None = None
    """Which Lease of the system namespace says who acts; None: this process does, whoever else runs."""
    bind_address: str = "127.0.0.1"
    ops_port: int = 8081
    workers: int = 8
    watch_secrets: bool = True
    rollout_restart: bool = False
    usage: UsageOptions | None = None
    """None: nobody is asked, and no status tells of it."""


class Reconciler(Protocol):
    """What the process is there for."""

    usage: Ledger
    """What is known of the use of keys."""

    async def reconcile(self, key: str) -> float | None:
        """Bring one object in line; return the seconds until it is due again."""

    def observe(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Take note of a watch event, after the cache has, and wake whom it concerns."""

    def wake_all(self) -> None:
        """Wake everything that is known, because waking had no effect until now."""

    def stand_by(self) -> None:
        """Let go of what is kept to be acted on, where another replica has had time to act on it."""


class Wake(Protocol):
    """Has a name in the queue looked at: urgent ones before all others, and `last` after them."""

    def __call__(self, key: str, *, urgent: bool = False, last: bool = False) -> None: ...


class Watching(Protocol):
    """Whether a watch tells of everything of a kind in a namespace: its Secrets, the Namespace itself."""

    def __call__(self, kind: str, namespace: str) -> bool: ...


class Tally(Protocol):
    """Counts what becomes of mints."""

    def minted(self, cause: Cause) -> None:
        """Count one key revealed or adopted."""

    def waited(self, seconds: float) -> None:
        """Count how long an ApiKey has waited for its first key."""

    def mint_failed(self, step: str, code: str) -> None:
        """Count one step of a mint (publish, reveal, activate) that the API server did not carry out."""


class ReconcilerFactory(Protocol):
    """How one is made."""

    def __call__(
        self,
        client: Client,
        cache: Cache,
        recorder: Recorder,
        *,
        options: Options,
        watching: Watching,
        wake: Wake,
        clock: Callable[[], datetime],
        tally: Tally,
    ) -> Reconciler: ...
