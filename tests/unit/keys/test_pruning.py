"""From when on a record of revocation may go, and what keeps it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from keywright.api.apikey import ApiKey
from keywright.api.revocation import Revocation
from keywright.keys.pruning import is_needed, prunable_from
from world import new_api_key, stamp

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DAY = timedelta(days=1)
KEY_ID = "a" * 16
ANNOTATIONS = {"keywright.dev/api-key": "shop/checkout", "keywright.dev/project": "shop/payments"}


def record(until: str | None = "", *, by: str = "keywright", **more: Any) -> Revocation:
    annotations = {**ANNOTATIONS, "keywright.dev/until": until, **more.pop("annotations", {})}
    return Revocation.model_validate(
        {
            "metadata": {
                "name": f"k-{KEY_ID}",
                "namespace": "system",
                "labels": {"app.kubernetes.io/managed-by": by},
                "annotations": {name: text for name, text in annotations.items() if text is not None},
                "creationTimestamp": "2026-01-01T00:00:00Z",
            },
            "spec": more or {"keyID": KEY_ID},
        }
    )


def api_key(state: str = "Revoked", end: datetime | None = None, key_id: str = KEY_ID) -> ApiKey:
    obj = new_api_key()
    generation = {
        "id": key_id,
        "revision": 1,
        "digest": "sha256:0",
        "hint": "kw",
        "state": state,
        "cause": "First",
        "createdAt": "2026-01-01T00:00:00Z",
    }
    obj["status"] = {"keys": [{**generation, "expiresAt": stamp(end)} if end else generation]}
    return ApiKey.model_validate(obj)


def test_thirty_days_after_the_end_of_the_key() -> None:
    assert datetime(2026, 3, 3, tzinfo=UTC) == prunable_from(record("2026-02-01T00:00:00Z"))


def test_a_year_after_its_creation_where_the_key_had_no_end() -> None:
    assert datetime(2027, 1, 1, tzinfo=UTC) == prunable_from(record(""))
    assert datetime(2027, 1, 1, tzinfo=UTC) == prunable_from(record("", apiKeyRef={"name": "checkout"}))


def test_an_end_beyond_the_calendar_is_never_reached() -> None:
    found = prunable_from(record("9999-12-31T23:59:59Z"))
    assert found is not None
    assert 9999 == found.year


@pytest.mark.parametrize(
    "persons",
    [
        record("2020-01-01T00:00:00Z", by="Helm"),
        record(None),
        record("2020-01-01T00:00:00Z", annotations={"keywright.dev/api-key": None}),
        record("2020-01-01T00:00:00Z", annotations={"keywright.dev/project": None}),
        record("soon"),
        record("2020-01-01T00:00:00"),
    ],
    ids=["label", "until", "api-key", "project", "no time", "no zone"],
)
def test_what_the_operator_did_not_write_never_goes(persons: Revocation) -> None:
    assert prunable_from(persons) is None


@pytest.mark.parametrize(
    ("state", "end", "needed"),
    [
        ("Active", NOW - 99 * DAY, True),
        ("Retiring", NOW - 99 * DAY, True),
        ("Pending", NOW - 99 * DAY, True),
        ("Revoked", NOW - 99 * DAY, False),
        ("Expired", NOW, False),
        ("Revoked", NOW + DAY, True),
        ("Revoked", None, True),
    ],
)
def test_it_stays_while_a_status_names_the_key_as_one_that_could_be_valid(
    state: str,
    end: datetime | None,
    needed: bool,  # noqa: FBT001
) -> None:
    assert needed == is_needed(record(), api_key(state, end), NOW)


def test_another_key_does_not_keep_it() -> None:
    assert not is_needed(record(), api_key("Active", key_id="b" * 16), NOW)


def test_that_of_a_whole_api_key_stays_as_long_as_that_one_exists() -> None:
    ref = {"name": "checkout", "namespace": "shop"}
    uid = api_key().metadata.uid

    assert is_needed(record(apiKeyRef=ref, annotations={"keywright.dev/api-key-uid": uid}), api_key(), NOW)
    assert is_needed(record(apiKeyRef=ref), api_key(), NOW)
    another = record(apiKeyRef=ref, annotations={"keywright.dev/api-key-uid": "another"})
    assert not is_needed(another, api_key(), NOW)
