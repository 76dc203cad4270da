"""What all three kinds share: object metadata, conditions, durations and times.

The models are the vocabulary of the whole program: frozen, tolerant of unknown fields (a newer
manifest must not stop an older operator), and the source of `crds/`. `None` means absent and `()`
means an empty list: the API server stores `[]` and prunes nulls, and the contract gives the two
different meanings.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

GROUP = "keywright.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DURATION_PATTERN = r"^([0-9]{1,5}(\.[0-9]{1,3})?(ms|s|m|h)){1,4}$"
NAME_PATTERN = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_DURATION_PART = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(ms|s|m|h)")


class Model(BaseModel):
    """Base of every resource and part of one: frozen, camelCase on the wire, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    def wire(self) -> dict[str, Any]:
        """Return the JSON object that the API server stores: camelCase names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def parse_duration(text: str) -> timedelta:
    """Return the length of a Go-style duration without days, such as "2160h" or "1h30m".

    Raises ValueError for any other form.
    """
    if not re.fullmatch(DURATION_PATTERN.strip("^$"), text):
        raise ValueError('write a duration in h, m, s or ms, such as "2160h" for 90 days')
    parts = _DURATION_PART.findall(text)
    return timedelta(milliseconds=float(sum(Decimal(number) * _MILLISECONDS[unit] for number, unit in parts)))


def format_duration(length: timedelta) -> str:
    """Write a non-negative duration, whole milliseconds (rounded down), in the largest units that fit it.

    What `parse_duration` reads back; "0s" for nothing.
    """
    rest = length // timedelta(milliseconds=1)
    text = ""
    for unit in ("h", "m", "s", "ms"):
        count, rest = divmod(rest, _MILLISECONDS[unit])
        if count:
            text += f"{count}{unit}"
    return text or "0s"


def round_down(moment: datetime) -> datetime:
    """Return the whole second at or before a moment."""
    return moment.replace(microsecond=0)


def round_up(moment: datetime) -> datetime:
    """Return the whole second at or after a moment."""
    whole = round_down(moment)
    return whole if whole == moment else whole + timedelta(seconds=1)


def format_time(moment: datetime) -> str:
    """Write a time as status has it: RFC 3339, UTC, whole seconds, `Z`."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def parse_time(text: object) -> object:
    """Read RFC 3339 into an aware datetime in UTC; what is not text passes through to pydantic."""
    if not isinstance(text, str):
        return text
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("write a time with a zone, such as 2027-01-01T00:00:00Z")
    return moment.astimezone(UTC)


Duration = Annotated[str, Field(pattern=DURATION_PATTERN)]
Time = Annotated[datetime, BeforeValidator(parse_time), PlainSerializer(format_time, return_type=str)]


class OwnerReference(Model):
    """Who owns an object, by UID (metav1.OwnerReference)."""

    api_version: str
    kind: str
    name: str
    uid: str
    controller: bool | None = None
    block_owner_deletion: bool | None = None


class ObjectMeta(Model):
    """The part of metav1.ObjectMeta that Keywright reads."""

    name: str
    namespace: str = "default"
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    creation_timestamp: Time | None = None
    deletion_timestamp: Time | None = None
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    finalizers: tuple[str, ...] = ()
    owner_references: tuple[OwnerReference, ...] = ()


class Ref(Model):
    """A namespaced name whose namespace may be left out."""

    name: str
    namespace: str | None = None

    def within(self, namespace: str) -> str:
        """Return `namespace/name`, where an absent namespace is the given one."""
        return f"{self.namespace or namespace}/{self.name}"


class Condition(Model):
    """metav1.Condition, always with the generation that it was observed at."""

    type: str
    status: str
    reason: str
    message: str = ""
    last_transition_time: Time
    observed_generation: int


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    key: str
    operator: str
    values: tuple[str, ...] = ()


class LabelSelector(Model):
    """metav1.LabelSelector: all of matchLabels and all of matchExpressions must hold."""

    match_labels: dict[str, str] = {}
    match_expressions: tuple[LabelSelectorRequirement, ...] = ()
