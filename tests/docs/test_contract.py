"""Every sentence about Projects, grants and Revocations, and every reason, names tests that exist."""

from __future__ import annotations

import pytest

from docs.markdown import ROOT
from docs.shown_by import missing, rows
from keywright.api.reasons import (
    EventReason,
    ProjectReason,
    ReadyReason,
    RevocationReadyReason,
    RotatingReason,
)

SENTENCES = rows(ROOT / "docs" / "contract-tests.md")
REASONS = {
    "Ready": ReadyReason,
    "Rotating": RotatingReason,
    "Project": ProjectReason,
    "Revocation": RevocationReadyReason,
    "Event": EventReason,
}


@pytest.mark.parametrize(
    ("sentence", "shown_by"), SENTENCES, ids=[f"{at} {claim}" for at, (claim, _) in enumerate(SENTENCES)]
)
def test_a_sentence_names_tests_that_exist(sentence: str, shown_by: str) -> None:
    assert missing(shown_by) == [], sentence


def test_no_sentence_stands_twice() -> None:
    claims = [claim for claim, _ in SENTENCES]
    assert sorted(set(claims)) == sorted(claims)


def test_every_reason_is_shown_by_a_test() -> None:
    known = {f"{kind} `{reason}`" for kind, reasons in REASONS.items() for reason in reasons}
    written = {claim for claim, _ in SENTENCES if claim.partition(" `")[0] in REASONS}
    assert written == known
