"""Every promise of SECURITY.md names tests that exist."""

from __future__ import annotations

import pytest

from docs.markdown import ROOT
from docs.shown_by import missing, rows

PROMISES = rows(ROOT / "SECURITY.md")


def test_there_are_promises() -> None:
    assert len(PROMISES) >= 10


@pytest.mark.parametrize(("promise", "shown_by"), PROMISES, ids=[promise for promise, _ in PROMISES])
def test_a_promise_names_tests_that_exist(promise: str, shown_by: str) -> None:
    assert missing(shown_by) == [], promise
