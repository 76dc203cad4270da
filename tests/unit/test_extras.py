"""Who needs only a part of Keywright installs only that part's packages."""

from __future__ import annotations

import subprocess
import sys

import pytest

OPERATOR_ONLY = (
    "aiohttp",
    "cronsim",
    "kubernetes",
    "orjson",
    "prometheus_client",
    "structlog",
    "uvloop",
    "yaml",
)

_WITHOUT = """
import sys
sys.modules.update(dict.fromkeys({blocked!r}))
import {module}
"""


NOT_FOR_MIDDLEWARE = (
    "cronsim",
    "fastapi",
    "httptools",
    "kopf",
    "prometheus_client",
    "redis",
    "uvicorn",
    "uvloop",
)
NOT_FOR_A_SNAPSHOT = (*NOT_FOR_MIDDLEWARE, "kubernetes", "structlog", "yaml", "orjson")


@pytest.mark.parametrize(
    ("module", "blocked"),
    [
        ("keywright.middleware.cluster", NOT_FOR_MIDDLEWARE),
        ("keywright.middleware.snapshot", NOT_FOR_A_SNAPSHOT),
        ("keywright.middleware", (*NOT_FOR_A_SNAPSHOT, "aiohttp", "joserfc")),
    ],
)
def test_the_middleware_needs_no_server_no_store_and_a_snapshot_nothing_of_kubernetes(
    module: str, blocked: tuple[str, ...]
) -> None:
    code = _WITHOUT.format(blocked=blocked, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "module",
    [
        "keywright.api.apikey",
        "keywright.api.project",
        "keywright.api.revocation",
        "keywright.decision.decide",
        "keywright.decision.index",
        "keywright.keys.grants",
        "keywright.keys.raw",
        "keywright.keys.scopes",
        "keywright.cli.main",
    ],
)
def test_what_a_verifier_needs_is_there_without_the_operators_packages(module: str) -> None:
    code = _WITHOUT.format(blocked=OPERATOR_ONLY, module=module)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
