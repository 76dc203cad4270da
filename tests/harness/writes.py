"""What the operator writes, counted.

By the audit log where the cluster has one, which any cluster has that `python -m controlplane up` started:
that names each object and counts refused requests as well. A cluster that was merely named
(KEYWRIGHT_TEST_KUBECONFIG) has none within reach; there the operator's own counter,
`keywright_api_requests_total`, has to do. Both name a write alike, "update apikeys/status", so that
the same test counts by either.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from harness import audit

if TYPE_CHECKING:
    from pathlib import Path

    from harness.operator import Operator

WRITING = frozenset({"create", "update", "patch", "delete", "deletecollection"})
ASIDE = frozenset({"events", "leases", "projects/status"})
"""Resources that the promised numbers of writes leave out."""


class Write(NamedTuple):
    """One write; `name` is empty where only a counter tells of it."""

    what: str
    name: str = ""


class Writes:
    """Writes of an operator from now on; `user` is its name in the audit log."""

    def __init__(self, operator: Operator, audit_log: Path | None, user: str) -> None:
        self._operator = operator
        self._log = audit_log
        self._user = user
        self._offset = audit_log.stat().st_size if audit_log else 0
        self._counted = {} if audit_log else self._counters()

    def all(self) -> list[Write]:
        """Return every write so far, a moment later: the log is written after the answer."""
        time.sleep(0.3)
        return self._logged(self._log) if self._log else self._risen()

    def counted(self) -> list[str]:
        """Return the writes that the promised numbers are about."""
        return [write.what for write in self.all() if write.what.partition(" ")[2] not in ASIDE]

    def _logged(self, log: Path) -> list[Write]:
        return [
            _write(entry)
            for entry in audit.entries(log, since=self._offset)
            if entry["user"]["username"] == self._user and entry["verb"] in WRITING
        ]

    def _risen(self) -> list[Write]:
        counters = self._counters()
        return [
            Write(what)
            for what, count in counters.items()
            for _ in range(int(count - self._counted.get(what, 0)))
        ]

    def _counters(self) -> dict[str, float]:
        counters: dict[str, float] = {}
        for family in text_string_to_metric_families(self._operator.get("/metrics")):
            for sample in family.samples:
                if sample.name == "keywright_api_requests_total" and sample.labels["verb"] in WRITING:
                    what = f"{sample.labels['verb']} {sample.labels['resource']}"
                    counters[what] = counters.get(what, 0) + sample.value
        return counters


def _write(entry: dict[str, object]) -> Write:
    reference = entry["objectRef"]
    assert isinstance(reference, dict)
    resource = "/".join(reference[part] for part in ("resource", "subresource") if part in reference)
    name = f"{reference.get('namespace', '')}/{reference.get('name', '')}"
    return Write(f"{entry['verb']} {resource}", name)
