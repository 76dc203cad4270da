"""/healthz, /readyz, /metrics."""

from __future__ import annotations

import aiohttp
import pytest

from keywright.controller.metrics import Metrics
from keywright.controller.ops import OpsServer


async def test_a_failure_says_what_is_wrong() -> None:
    problems = ["no API server", "no clock"]
    metrics = Metrics()
    metrics.read_at_scrape(depth=lambda: 3, oldest=lambda: 1.5, skew=lambda: -2.0, leader=lambda: 1.0)
    metrics.count_request("get", "secrets", "200")
    server = OpsServer(alive=list, ready=lambda: problems, registry=metrics.registry)
    port = await server.start("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/healthz") as answer:
            assert (answer.status, await answer.text()) == (200, "ok\n")
        async with session.get("/readyz") as answer:
            assert (answer.status, await answer.text()) == (503, "no API server\nno clock\n")
        async with session.get("/metrics") as answer:
            text = await answer.text()
    await server.close()
    assert 'keywright_api_requests_total{code="200",resource="secrets",verb="get"} 1.0' in text
    assert "keywright_queue_depth 3.0" in text
    assert "keywright_queue_oldest_seconds 1.5" in text
    assert "keywright_clock_skew_seconds -2.0" in text
    assert "keywright_leader 1.0" in text
    assert 'keywright_build_info{version="' in text


async def test_a_port_that_is_taken_is_an_error() -> None:
    first = OpsServer(alive=list, ready=list, registry=Metrics().registry)
    port = await first.start("127.0.0.1", 0)
    second = OpsServer(alive=list, ready=list, registry=Metrics().registry)
    with pytest.raises(OSError, match="address already in use"):
        await second.start("127.0.0.1", port)
    await second.close()
    await first.close()
