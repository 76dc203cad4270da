"""Every code has a status, a sentence and, where RFC 6750 wants one, the error of its challenge."""

from __future__ import annotations

from keywright.decision.code import Code


def test_every_code_has_a_status_and_one_sentence() -> None:
    for code in Code:
        assert code.status in {400, 401, 403, 429, 503}
        assert code.message[0].isupper()
        assert code.message.endswith(".")
        assert ". " not in code.message


def test_nothing_but_an_index_that_is_not_ready_is_a_5xx() -> None:
    assert [Code.NOT_READY] == [code for code in Code if code.status >= 500]


def test_only_a_401_without_a_credential_has_a_challenge_without_an_error() -> None:
    assert [Code.UNAUTHORIZED] == [c for c in Code if c.status == 401 and c.challenge_error is None]
    assert {"invalid_token"} == {c.challenge_error for c in Code if c.status == 401} - {None}
    assert "insufficient_scope" == Code.INSUFFICIENT_SCOPE.challenge_error
