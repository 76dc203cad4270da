"""`python -m benchmarks.middleware`: what does a decision cost, and an index of many keys?

On one core, without network: what a middleware adds to a request. Each figure of time is the least of many
short runs, in turn with those that it is compared with: what else the machine does only lengthens runs.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import time
from pathlib import Path
from timeit import timeit
from typing import TYPE_CHECKING, Any

from benchmarks.report import machine
from keywright.api.project import KeyType
from keywright.decision.decide import Allowed, Decision, decide
from keywright.decision.index import Index
from keywright.decision.limits import LocalStore
from keywright.decision.request import Request
from keywright.keys import raw

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from keywright.keys.raw import RawKey

_NOW = 1_800_000_000.0
_CREATED, _EXPIRES = "2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z"
_RUNS, _CALLS = 300, 500
_LIMIT = [{"requests": 1_000_000, "period": "1s"}]
_PROJECT = {
    "metadata": {"name": "payments", "namespace": "platform", "uid": "project", "resourceVersion": "1"},
    "spec": {
        "allowedNamespaces": {"from": "All"},
        "scopes": [{"name": "data:read"}, {"name": "data:write"}],
        "routes": [
            {"methods": ["GET"], "path": "/v1/keys/{id}", "scopes": ["data:read"]},
            {"methods": ["POST"], "path": "/v1/keys", "scopes": ["data:write"]},
            {"path": "/healthz", "public": True},
        ],
    },
}

_TEXT = """\
an index of {keys} keys: read {read_seconds:.1f} s, terms {terms_seconds:.1f} s, {bytes_per_key} bytes a key
a decision: {decision_us:.2f} µs, {ratio_to_sha256:.1f} times SHA-256 of the key ({sha256_us:.2f} µs)
with a rate limit: {decision_and_limit_us:.2f} µs, {decisions_per_second:,.0f} a second on one core"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.middleware", description=__doc__)
    parser.add_argument("--keys", type=int, default=50_000, help="how many ApiKeys the index holds (50000)")
    parser.add_argument("--json", action="store_true", help="the figures for programs")
    options = parser.parse_args(arguments)
    found = {"benchmark": "middleware", "machine": machine(), **measure(max(options.keys, 1))}
    print(json.dumps(found, indent=2) if options.json else _TEXT.format(**found))


def measure(keys: int) -> dict[str, Any]:
    """Return the figures of an index of so many keys."""
    before = _resident()
    index, last, reading = _index(keys)
    started = time.perf_counter()
    for entry in index.entries():
        index.projects[entry.project].apply(entry)
    first = time.perf_counter() - started
    resident = _resident()
    asked = _request(last)
    decided = decide(index, asked, _NOW)
    if not isinstance(decided, Allowed) or not LocalStore().take(decided.buckets, _NOW).allowed:
        raise ValueError("a good key was denied")
    return {
        "keys": keys,
        "read_seconds": reading,
        "terms_seconds": first,
        "bytes_per_key": (resident - before) // keys,
        **_times(index, asked, last),
    }


def _times(index: Index, asked: Request, key: RawKey) -> dict[str, float]:
    store, value = LocalStore(), key.value.encode()

    def limited() -> None:
        decision: Decision = decide(index, asked, _NOW)
        if isinstance(decision, Allowed):
            store.take(decision.buckets, _NOW)

    jobs: dict[str, Callable[[], object]] = {
        "sha256_us": lambda: hashlib.sha256(value),
        "decision_us": lambda: decide(index, asked, _NOW),
        "decision_and_limit_us": limited,
    }
    least = dict.fromkeys(jobs, float("inf"))
    for _ in range(_RUNS):
        for name, job in jobs.items():
            least[name] = min(least[name], timeit(job, number=_CALLS) / _CALLS * 1e6)
    return {
        **least,
        "decisions_per_second": 1e6 / least["decision_and_limit_us"],
        "ratio_to_sha256": least["decision_us"] / least["sha256_us"],
        "ratio_to_sha256_with_limit": least["decision_and_limit_us"] / least["sha256_us"],
    }


def _index(keys: int) -> tuple[Index, RawKey, float]:
    """Return an index, the last of its keys, and how many seconds it took to read them in."""
    index, reading = Index(), 0.0
    index.put("project", _PROJECT)
    for number in range(keys):
        key = raw.mint("kw", KeyType.PRODUCTION)
        obj = _api_key(number, key)
        started = time.perf_counter()
        index.put("apikey", obj)
        reading += time.perf_counter() - started
    return index, key, reading


def _api_key(number: int, key: RawKey) -> dict[str, Any]:
    generation = {"id": key.id, "revision": 1, "digest": key.digest, "hint": key.hint, "cause": "First"}
    told = {"state": "Active", "createdAt": _CREATED, "expiresAt": _EXPIRES}
    return {
        "metadata": {
            "name": f"key-{number}",
            "namespace": f"team-{number % 100}",
            "uid": f"{number:032x}",
            "resourceVersion": str(number + 1),
            "creationTimestamp": _CREATED,
        },
        "spec": {
            "projectRef": {"name": "payments", "namespace": "platform"},
            "owner": "team",
            "scopes": ["data:read", "data:write"],
            "restrictions": {"cidrs": ["10.0.0.0/8", "192.168.0.0/16"]},
            "rateLimits": _LIMIT,
        },
        "status": {"currentKeyID": key.id, "expiresAt": _EXPIRES, "keys": [generation | told]},
    }


def _request(key: RawKey) -> Request:
    authorization = (b"Bearer " + key.value.encode(),)
    return Request("platform/payments", "GET", "/v1/keys/42", "", authorization, (), (), "10.1.2.3")


def _resident() -> int:
    """Return how many bytes of memory this process holds."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
