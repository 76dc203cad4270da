"""What a verifier's index decides, one that was filled from its snapshot decides too."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

from keywright.decision.code import Code
from keywright.decision.decide import Allowed, Decision, decide
from keywright.decision.index import KINDS, Index
from keywright.decision.snapshot import reading, written
from property.worlds import NOW, PROJECTS, WORLDS, asked, events, index_of, request_of

if TYPE_CHECKING:
    from property.decision_reference import Asked, World

MOMENTS = st.sampled_from([NOW - 1.5, NOW - 1, NOW - 0.001, NOW, NOW + 0.5, NOW + 1, NOW + 3600.0])


def spoken(decision: Decision) -> Any:
    if isinstance(decision, Allowed):
        buckets = [(bucket.owner, bucket.rule) for bucket in decision.buckets]
        return "allowed", decision.headers, buckets
    # A snapshot holds one Project: what is a key of another is nobody's there.
    code = Code.INVALID_API_KEY if decision.code is Code.WRONG_PROJECT else decision.code
    return code, decision.scopes


def changed(index: Index, world: World) -> None:
    """Let an index see another world in the place of the one that it knows."""
    for kind, objects in zip(KINDS, world, strict=True):
        newer = [
            {**obj, "metadata": {**obj["metadata"], "resourceVersion": "11"}} for obj in objects.values()
        ]
        index.replace(kind, newer, resource_version="11")


def take(index: Index, source: Index) -> None:
    content = written(source, PROJECTS[0])
    for _ in reading(index, json.loads(json.dumps(content))):
        pass


@settings(max_examples=300, deadline=None)
@given(WORLDS, WORLDS, st.lists(asked(), min_size=1, max_size=6), MOMENTS)
def test_both_decide_alike_also_about_a_world_that_changed(
    before: World, world: World, requests: list[Asked], now: float
) -> None:
    source, copy = index_of(events(before)), Index()
    take(copy, source)
    changed(source, world)
    take(copy, source)
    for one in requests:
        request = request_of(one)._replace(project=PROJECTS[0])
        assert spoken(decide(source, request, now)) == spoken(decide(copy, request, now))
