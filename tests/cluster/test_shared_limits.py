"""Two verifiers and one store: a limit is one limit, and a store that dies costs no request."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from harness.redis import RedisServer
from harness.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from harness.operator import Operator
    from harness.team import Team
    from harness.verifier import Verifier

SHARED = "keywright_verifier_limits_shared"
LIMIT = 20


@pytest.fixture
def store(tmp_path: Path) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path, password="s3same")
    yield server
    server.kill()


def verdicts(verifiers: list[Verifier], project: str, key: str, times: int) -> Counter[int]:
    """Ask each in turn."""
    return Counter(verifiers[n % len(verifiers)].ask(project, key).status for n in range(times))


def test_verifiers_share_a_limit_while_the_store_is_there_and_answer_when_it_is_not(
    team: Team, operator: Operator, start_verifier: Callable[..., Verifier], store: RedisServer
) -> None:
    team.minted(rateLimits=[{"requests": LIMIT, "period": "1h"}])
    project, key = f"{team.namespace}/payments", team.value()
    verifiers = [start_verifier(f"--limits-store={store.url}") for _ in range(2)]
    for one in verifiers:
        one.until_ready()
    until(lambda: [one.metric(SHARED) for one in verifiers], lambda seen: seen == [1, 1])
    assert {200: LIMIT, 429: LIMIT} == verdicts(verifiers, project, key, 2 * LIMIT)

    store.kill()
    after = verdicts(verifiers, project, key, 10)
    assert {429} >= {status for status in after if status != 200}, "never a 5xx"
    until(lambda: [one.metric(SHARED) for one in verifiers], lambda seen: seen == [0, 0])
    store.start()
    until(lambda: [one.metric(SHARED) for one in verifiers], lambda seen: seen == [1, 1])
    assert "s3same" not in "".join(one.log.read_text() for one in verifiers)
