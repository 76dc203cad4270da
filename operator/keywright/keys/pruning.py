"""When a record of revocation may go: its key could not be valid any more, and a good while has passed.

Only what the operator wrote goes; a person's Revocation stays until a person deletes it. The time is in the
record itself, so that nothing else has to be there still. While an ApiKey is, it is asked as well.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from keywright.api.meta import parse_time
from keywright.keys.generations import ENDED, later
from keywright.keys.revocations import API_KEY, API_KEY_UID, MANAGED_BY, PROJECT, UNTIL

if TYPE_CHECKING:
    from keywright.api.apikey import ApiKey, Generation
    from keywright.api.revocation import Revocation

AFTER_THE_END = timedelta(days=30)
WITHOUT_END = timedelta(days=365)


def prunable_from(record: Revocation) -> datetime | None:
    """Return from when on a record in the system namespace may go; None: never.

    30 days after its `until`; 365 days after its creation where the key had no end, or was a whole ApiKey.
    """
    metadata = record.metadata
    label, value = MANAGED_BY
    if metadata.labels.get(label) != value or not {API_KEY, PROJECT, UNTIL} <= metadata.annotations.keys():
        return None
    if not metadata.annotations[UNTIL]:
        created = metadata.creation_timestamp
        return later(created, WITHOUT_END) if created is not None else None
    try:
        until = parse_time(metadata.annotations[UNTIL])
    except ValueError:
        return None
    return later(until, AFTER_THE_END) if isinstance(until, datetime) else None


def is_needed(record: Revocation, api_key: ApiKey, now: datetime) -> bool:
    """Whether an ApiKey that exists keeps a record from going, whatever its time.

    A whole ApiKey's is needed as long as that one exists; a generation's, until that could not be valid by
    its own stamp: a state alone may be lost with the status.
    """
    if record.spec.api_key_ref is not None:
        return record.metadata.annotations.get(API_KEY_UID, api_key.metadata.uid) == api_key.metadata.uid
    return any(g.id == record.spec.key_id and _could_be_valid(g, now) for g in api_key.status.keys)


def _could_be_valid(generation: Generation, now: datetime) -> bool:
    end = generation.expires_at
    return generation.state not in ENDED or end is None or now < end
