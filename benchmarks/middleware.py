"""`python -m benchmarks.middleware`: what does a decision cost in process, and an index of many keys?

On one core, without network: what a middleware adds to a request. All that is compared takes turns, run by
run, and of each the median counts. The measure is one SHA-256 of the same keys, from the bytes of a header to
the 32 bytes that are looked up: no verifier can do with less.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import time
from itertools import count
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, NamedTuple

from benchmarks.report import machine
from keywright.api.project import KeyType
from keywright.decision.decide import Allowed, decide
from keywright.decision.index import Index
from keywright.decision.limits import LocalStore
from keywright.decision.request import Request
from keywright.keys import raw
from keywright.middleware import KeywrightMiddleware

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from keywright.keys.raw import RawKey

_NOW = 1_800_000_000.0
_CREATED, _EXPIRES = "2027-01-01T00:00:00Z", "2027-04-01T00:00:00Z"
_CALLS = 200
_LIMIT = [{"requests": 1_000_000, "period": "1s"}]
_ROUTES = [
    {"methods": ["GET"], "path": "/v1/keys/{id}", "scopes": ["data:read"]},
    {"methods": ["POST"], "path": "/v1/keys", "scopes": ["data:write"]},
    {"path": "/healthz", "public": True},
]


class Checks(NamedTuple):
    """What is asked of a key besides its being good: scopes by route, networks, limits by key and Project."""

    routes: bool = True
    cidrs: bool = True
    limits: bool = True

    @property
    def project(self) -> str:
        """Return the Project that asks for this."""
        return f"routes-{self.routes}-limits-{self.limits}".lower()


ALL = "every check"
_CHECKS = {
    ALL: Checks(),
    "without limits": Checks(limits=False),
    "without routes": Checks(routes=False),
    "without CIDRs": Checks(cidrs=False),
    "the key alone": Checks(routes=False, cidrs=False, limits=False),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure, and print what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.middleware", description=__doc__)
    sizes = "how many ApiKeys the index holds, one run each (100,10000,100000)"
    parser.add_argument("--keys", default="100,10000,100000", help=sizes)
    parser.add_argument("--runs", type=int, default=101, help="runs of each; the median counts (101)")
    parser.add_argument("--json", action="store_true", help="the figures for programs")
    options = parser.parse_args(arguments)
    found = [measure(max(int(keys), len(_CHECKS)), options.runs) for keys in options.keys.split(",")]
    if options.json:
        print(json.dumps({"benchmark": "middleware", "machine": machine(), "sizes": found}, indent=2))
        return
    for one in found:
        print(_text(one))


def measure(keys: int, runs: int) -> dict[str, Any]:
    """Return the figures of an index of so many keys."""
    before = _resident()
    index, samples, reading = _index(keys)
    started = time.perf_counter()
    for entry in index.entries():
        index.projects[entry.project].apply(entry)
    applying = time.perf_counter() - started
    resident = _resident()
    times = _times(index, samples, runs)
    return {
        "keys": keys,
        "read_seconds": reading,
        "terms_seconds": applying,
        "bytes_per_key": (resident - before) // keys,
        "sha256_us": times["sha256"],
        "request_us": times["request"],
        "decisions": {
            name: {
                "us": times[name],
                "per_second": 1e6 / times[name],
                "ratio_to_sha256": times[name] / times["sha256"],
            }
            for name in _CHECKS
        },
    }


def _text(found: Mapping[str, Any]) -> str:
    lines = [
        "an index of {keys:,} keys: read {read_seconds:.1f} s, terms {terms_seconds:.1f} s, "
        "{bytes_per_key:,} bytes a key; SHA-256 of a key {sha256_us:.2f} µs".format_map(found)
    ]
    for name, one in found["decisions"].items():
        figures = "{us:.2f} µs, {ratio_to_sha256:.1f} times SHA-256, {per_second:,.0f} a second".format_map(
            one
        )
        lines.append(f"  {name}: {figures}")
    lines.append(f"  the whole middleware, every check: {found['request_us']:.2f} µs a request")
    return "\n".join(lines)


def _times(index: Index, samples: Mapping[str, Sequence[RawKey]], runs: int) -> dict[str, float]:
    """Return microseconds for each call."""
    clock = count(_NOW)  # a second later whenever it is asked: no limit is ever reached
    jobs: dict[str, Callable[[], None]] = {
        name: _deciding(index, name, samples[name], clock) for name in _CHECKS
    }
    jobs["sha256"] = _hashing(samples[ALL])
    jobs["request"] = _serving(index, samples[ALL], clock)
    found: dict[str, list[float]] = {name: [] for name in jobs}
    for _ in range(runs):
        for name, job in jobs.items():
            started = time.perf_counter()
            job()
            found[name].append((time.perf_counter() - started) / _CALLS * 1e6)
    return {name: median(times) for name, times in found.items()}


def _hashing(keys: Sequence[RawKey]) -> Callable[[], None]:
    values, sha256 = _often([key.value.encode() for key in keys]), hashlib.sha256

    def job() -> None:
        for value in values:
            sha256(value).digest()

    return job


def _deciding(index: Index, name: str, keys: Sequence[RawKey], clock: Iterator[float]) -> Callable[[], None]:
    project, store = f"platform/{_CHECKS[name].project}", LocalStore()
    requests = _often([_request(project, key) for key in keys])
    for request in requests:
        decision = decide(index, request, _NOW)
        if not isinstance(decision, Allowed) or bool(decision.buckets) != _CHECKS[name].limits:
            raise ValueError("a good key was denied, or is not limited as it should be")

    def job() -> None:
        now = next(clock)
        for request in requests:
            decision = decide(index, request, now)
            if isinstance(decision, Allowed) and decision.buckets:
                store.take(decision.buckets, now)

    return job


class _Known:
    """A source that knows everything."""

    def __init__(self, index: Index) -> None:
        self.index = index
        self.trusted_until = math.inf

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass


def _serving(index: Index, keys: Sequence[RawKey], clock: Iterator[float]) -> Callable[[], None]:
    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def receive() -> Any:
        raise AssertionError

    started: list[int] = []

    async def send(message: Any) -> None:
        if "status" in message:
            started.append(message["status"])

    guarded = KeywrightMiddleware(
        app, project=f"platform/{_CHECKS[ALL].project}", source=_Known(index), clock=clock.__next__
    )
    scopes = _often([_scope(key) for key in keys])

    def job() -> None:
        started.clear()
        for scope in scopes:
            # Nothing in it waits, so no event loop is needed; the scope is a server's, new for each request.
            try:
                guarded({**scope}, receive, send).__await__().__next__()
            except StopIteration:
                continue
            raise ValueError("nothing on this way waits")
        if started != [200] * _CALLS:
            raise ValueError("a good key was denied")

    return job


def _often(samples: list[Any]) -> list[Any]:
    return [samples[number % len(samples)] for number in range(_CALLS)]


def _index(keys: int) -> tuple[Index, dict[str, list[RawKey]], float]:
    """Return an index, some keys of each kind, and how many seconds it took to read them in."""
    index, reading = Index(), 0.0
    for number, checks in enumerate(dict.fromkeys(one._replace(cidrs=True) for one in _CHECKS.values())):
        index.put("project", _project(checks, number))
    samples: dict[str, list[RawKey]] = {name: [] for name in _CHECKS}
    names = list(_CHECKS)
    apart = max(1, keys // (_CALLS * len(names)))  # so that the samples come from everywhere in the index
    for number in range(keys):
        key, name = raw.mint("kw", KeyType.PRODUCTION), names[number % len(names)]
        obj = _api_key(number, key, _CHECKS[name])
        if not number // len(names) % apart:
            samples[name].append(key)
        started = time.perf_counter()
        index.put("apikey", obj)
        reading += time.perf_counter() - started
    return index, samples, reading


def _project(checks: Checks, number: int) -> dict[str, Any]:
    about = {"name": checks.project, "namespace": "platform", "uid": f"project-{number}"}
    spec = {
        "allowedNamespaces": {"from": "All"},
        "scopes": [{"name": "data:read"}, {"name": "data:write"}],
        "routes": _ROUTES if checks.routes else [],
        "rateLimits": _LIMIT if checks.limits else [],
    }
    return {"metadata": about | {"resourceVersion": "1"}, "spec": spec}


def _api_key(number: int, key: RawKey, checks: Checks) -> dict[str, Any]:
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
            "projectRef": {"name": checks.project, "namespace": "platform"},
            "owner": "team",
            "scopes": ["data:read", "data:write"],
            "restrictions": {"cidrs": ["10.0.0.0/8", "192.168.0.0/16"]} if checks.cidrs else {},
            "rateLimits": _LIMIT if checks.limits else [],
        },
        "status": {"currentKeyID": key.id, "expiresAt": _EXPIRES, "keys": [generation | told]},
    }


def _request(project: str, key: RawKey) -> Request:
    authorization = (b"Bearer " + key.value.encode(),)
    return Request(project, "GET", "/v1/keys/42", "", authorization, (), (), "10.1.2.3")


def _scope(key: RawKey) -> dict[str, Any]:
    headers = [
        (b"host", b"api.example.com"),
        (b"user-agent", b"benchmark"),
        (b"accept", b"*/*"),
        (b"authorization", b"Bearer " + key.value.encode()),
    ]
    return {
        "type": "http",
        "method": "GET",
        "path": "/v1/keys/42",
        "raw_path": b"/v1/keys/42",
        "query_string": b"",
        "headers": headers,
        "client": ("10.1.2.3", 4711),
    }


def _resident() -> int:
    """Return how many bytes of memory this process holds."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if "VmRSS" in line)
    return int(line.split()[1]) * 1024


if __name__ == "__main__":
    main()
