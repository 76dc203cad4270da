"""`keywright operator` with a stand-in for the reconciler, run as a process of its own.

The stand-in does nothing but tell what it was shown, one JSON line each, on standard output.
"""

from __future__ import annotations

import json
import sys
import types
from typing import TYPE_CHECKING, Any

from keywright.controller.cache import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from keywright.controller.cache import Cache
    from keywright.controller.ports import Options
    from keywright.kube.client import Client
    from keywright.kube.events import Recorder


class StandIn:
    """Every event wakes its own object; every pass is told with what the cache held."""

    def __init__(
        self,
        client: Client,
        cache: Cache,
        recorder: Recorder,
        *,
        options: Options,
        wake: Callable[[str], None],
        **_others: object,
    ) -> None:
        del client, recorder
        self._cache = cache
        self._wake = wake
        _tell(system_namespace=options.realm.system_namespace)

    def observe(self, kind: str, event_type: str | None, obj: dict[str, Any]) -> None:
        """Tell of the event and wake its object, if it is one of our kinds."""
        if kind not in KINDS:
            return
        metadata = obj["metadata"]
        key = f"{kind}:{metadata['namespace']}/{metadata['name']}"
        _tell(event=event_type or "LISTED", key=key, uid=metadata["uid"])
        self._wake(key)

    def wake_all(self) -> None:
        """Wake everything: until now waking had no effect."""
        for kind in KINDS:
            for name in self._cache.keys(kind):
                self._wake(f"{kind}:{name}")

    def stand_by(self) -> None:
        """Keep nothing."""

    async def reconcile(self, key: str) -> float | None:
        """Tell of the pass."""
        kind, _, name = key.partition(":")
        obj = self._cache.get(kind, name)
        _tell(reconcile=key, cached=obj is not None, known=len(self._cache.keys(kind)))
        return None


def _tell(**fact: Any) -> None:
    sys.stdout.write(json.dumps(fact) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    module = types.ModuleType("keywright.controller.reconcile")
    module.__dict__["Reconciler"] = StandIn
    sys.modules[module.__name__] = module

    from keywright.cli.main import main

    main()
