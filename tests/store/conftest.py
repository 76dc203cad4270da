"""A real store of shared limits, one for each test that kills it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from harness.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A redis-server that asks for a password."""
    server = RedisServer(tmp_path, password="s3same")
    yield server
    server.kill()
