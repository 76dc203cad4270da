"""/healthz, /readyz, /metrics and further pages of the verifier."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry

from harness.wire import Echo, ask, get, running
from keywright.verifier.metrics import FAMILIES, LABELS, Metrics
from keywright.verifier.ops import Ops, text

if TYPE_CHECKING:
    from keywright.verifier.answers import Answer
    from keywright.verifier.asgi import Scope


class Watches:
    """An index that has seen something of the world."""

    def sizes(self) -> dict[str, int]:
        return {"apikey": 1000, "project": 3}

    def staleness(self) -> float:
        return 1.5

    def relists(self) -> dict[str, int]:
        return {"apikey": 2}

    def rollbacks(self) -> dict[str, int]:
        return {"apikey": 1}


async def test_a_failure_says_what_is_wrong() -> None:
    problems = ["no API server", "no clock"]
    ops = Ops(alive=list, ready=lambda: problems, registry=CollectorRegistry())
    async with running(Echo(), ops) as at:
        alive = await ask(at.ops_port, get("/healthz"))
        assert (200, b"ok\n") == (alive.status, alive.body)
        ready = await ask(at.ops_port, get("/readyz?verbose"))
        assert (503, b"no API server\nno clock\n") == (ready.status, ready.body)
        problems.clear()
        assert (await ask(at.ops_port, get("/readyz"))).status == 200


async def test_what_was_counted_is_told_to_prometheus() -> None:
    metrics = Metrics(Watches())
    for seconds in (0.000_004, 0.000_02, 3.0):
        metrics.count("platform/payments", "allowed", seconds)
    metrics.count("", "invalid_path", 0.000_02)
    ops = Ops(alive=list, ready=list, registry=metrics.registry)
    async with running(Echo(), ops) as at:
        reply = await ask(at.ops_port, get("/metrics"))
    assert reply.headers["content-type"].startswith("text/plain")
    lines = set(reply.body.decode().splitlines())
    assert {
        'keywright_verifier_decisions_total{code="allowed",project="platform/payments"} 3.0',
        'keywright_verifier_decisions_total{code="invalid_path",project=""} 1.0',
        'keywright_verifier_decision_duration_seconds_bucket{le="5e-06"} 1.0',
        'keywright_verifier_decision_duration_seconds_bucket{le="2.5e-05"} 3.0',
        'keywright_verifier_decision_duration_seconds_bucket{le="1"} 3.0',
        'keywright_verifier_decision_duration_seconds_bucket{le="+Inf"} 4.0',
        "keywright_verifier_decision_duration_seconds_count 4.0",
        'keywright_verifier_objects{kind="apikey"} 1000.0',
        "keywright_verifier_staleness_seconds 1.5",
        'keywright_verifier_relists_total{kind="apikey"} 2.0',
        'keywright_verifier_rollbacks_total{kind="apikey"} 1.0',
    } <= lines


def test_every_metric_and_label_is_documented() -> None:
    collected = list(Metrics(Watches()).collect())
    names = [f"{family.name}_total" if family.type == "counter" else family.name for family in collected]
    assert [family.name for family in FAMILIES] == names
    assert [family.kind for family in FAMILIES] == [family.type for family in collected]
    assert set(LABELS) == {label for family in FAMILIES for label in family.labels}


async def test_what_is_no_http_is_counted() -> None:
    metrics = Metrics()
    async with running(Echo(metrics)) as at:
        for request in (b"nonsense\r\n\r\n", get("/a"), b"GET /" + b"a" * 70_000):
            await ask(at.port, request)
    assert metrics.registry.get_sample_value("keywright_verifier_malformed_requests_total") == 2


async def test_a_page_that_fails_fails_alone() -> None:
    def fails(_scope: Scope) -> Answer:
        raise ValueError("a value that nobody may see")

    def usage(_scope: Scope) -> Answer:
        return text(200, b"{}", "application/json")

    ops = Ops(alive=list, ready=list, registry=CollectorRegistry(), pages={"/broken": fails, "/usage": usage})
    async with running(Echo(), ops) as at:
        broken = await ask(at.ops_port, get("/broken"))
        assert (500, b"the log says why\n") == (broken.status, broken.body)
        assert (await ask(at.ops_port, get("/usage"))).body == b"{}"
        assert (await ask(at.ops_port, get("/usage", method="POST"))).status == 405
        missing = await ask(at.ops_port, get("/"))
        assert (404, b"there are /healthz, /readyz, /metrics, /broken, /usage\n") == (
            missing.status,
            missing.body,
        )
