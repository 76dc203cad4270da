"""Logs: one format, no raw key, no data from exceptions."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from keywright import logs
from keywright.errors import KeywrightError

if TYPE_CHECKING:
    from collections.abc import Iterator

HINT = "kw_prod_7f3k2m9q0r4t6v8x"
RAW = f"{HINT}_{'0' * 43}4GnmBQ"


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]
    structlog.reset_defaults()


@pytest.mark.parametrize("style", ["console", "json"])
def test_a_raw_key_is_masked_wherever_it_stands(
    style: logs.Format, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure(style, "info")
    structlog.get_logger("t").info(f"made {RAW}", field=RAW, nested={"a": [RAW]})
    logging.getLogger("aiohttp.other").warning("body %s", {"stringData": {"apiKey": RAW}})
    shown = capsys.readouterr().err
    assert "0000" not in shown
    assert shown.count(f"{HINT}_…") == 4


def test_an_exception_shows_its_type_and_place_and_no_data(capsys: pytest.CaptureFixture[str]) -> None:
    logs.configure("json", "info")
    try:
        dict[str, str]()["a value that nobody may see"]
    except KeyError:
        structlog.get_logger("t").exception("failed")
        logging.getLogger("aiohttp.other").exception("failed")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert "nobody may see" not in line
        assert "KeyError" in json.loads(line)["exception"]
        assert "test_logs.py" in json.loads(line)["exception"]


def test_our_own_errors_and_their_causes_are_shown_in_full() -> None:
    error = KeywrightError("outer", kind="apikey")
    error.__cause__ = ConnectionRefusedError(111, "Connection refused")
    assert logs.describe(error) == (
        "KeywrightError: outer (kind=apikey) () <- ConnectionRefusedError: [Errno 111] Connection refused ()"
    )


def test_every_member_of_a_group_is_described() -> None:
    shown = logs.describe(ExceptionGroup("two", [ValueError("x"), KeywrightError("known")]))
    assert "ValueError" in shown
    assert "KeywrightError: known" in shown
