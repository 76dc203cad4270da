"""What all three kinds share: object metadata, conditions, durations and times.

The models are the vocabulary of the whole program: frozen, tolerant of unknown fields (a newer
manifest must not stop an older operator), and the source of `crds/`. `None` means absent and `()`
means an empty list: the API server stores `[]` and prunes nulls, and the contract gives the two
different meanings.
"""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer
from pydantic.alias_generators import to_camel

from keywright.api.forms import LABEL_KEYS, LabelKey, LabelValue, Name, NamespaceName
from keywright.api.rules import Form, Rule, Rules, matches

GROUP = "keywright.dev"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

DURATION_PATTERN = r"^([0-9]{1,5}(\.[0-9]{1,3})?(ms|s|m|h)){1,4}$"
_DURATION_MESSAGE = (
    'write a duration in h, m, s or ms, such as "2160h" for 90 days (there is no unit for days)'
)

# Days that exist, for CEL answers a parse of any other with an error instead of a message.
_MONTH_AND_DAY = (
    r"((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
)
_LEAP_DAY = r"(2[0-9](0[48]|[2468][048]|[13579][26])|2[048]00)-02-29"
_CLOCK = r"([01][0-9]|2[0-3]):[0-5][0-9]"
TIME_PATTERN = (
    rf"^(2[0-9]{{3}}-{_MONTH_AND_DAY}|{_LEAP_DAY})T{_CLOCK}:[0-5][0-9](\.[0-9]{{1,9}})?(Z|[+-]{_CLOCK})$"
)

_MILLISECONDS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000}
_MOST_HOURS = 99_999
_LONG = timedelta(hours=_MOST_HOURS + 1)
_DURATION_PART = re.compile(r"([0-9]{1,5}(?:\.[0-9]{1,3})?)(ms|s|m|h)")


class Model(BaseModel):
    """Base of every resource and part of one: frozen, camelCase on the wire, unknown fields ignored."""

    model_config = ConfigDict(frozen=True, alias_generator=to_camel, populate_by_name=True, extra="ignore")

    # For the schema: what CEL judges about the object as a whole, and whether its writers replace it whole.
    cel: ClassVar[Rules] = ()
    map_type: ClassVar[Literal["atomic"] | None] = None

    def wire(self) -> dict[str, Any]:
        """Return the JSON object that the API server stores: camelCase names, absent fields left out."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


@lru_cache(maxsize=4096)
def parse_duration(text: str) -> timedelta:
    """Return the length of a Go-style duration without days, such as "2160h" or "1h30m".

    Raises ValueError for any other form.
    """
    if not re.fullmatch(DURATION_PATTERN.strip("^$"), text):
        raise ValueError(_DURATION_MESSAGE)
    parts = _DURATION_PART.findall(text)
    return timedelta(milliseconds=float(sum(Decimal(number) * _MILLISECONDS[unit] for number, unit in parts)))


def format_duration(length: timedelta) -> str:
    """Write a non-negative duration, whole milliseconds (rounded down), in the largest units that fit it.

    What `parse_duration` reads back; "0s" for nothing. From 100000h on, in whole hours: no part of a
    duration has more than five digits, and there are at most four parts.
    """
    if length >= _LONG:
        hours = min(length // timedelta(hours=1), 4 * _MOST_HOURS)
        parts, rest = divmod(hours, _MOST_HOURS)
        return f"{_MOST_HOURS}h" * parts + (f"{rest}h" if rest else "")
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


@lru_cache(maxsize=4096)  # one status is written several times in a pass
def format_time(moment: datetime) -> str:
    """Write a time as status has it: RFC 3339, UTC, whole seconds, `Z`."""
    return f"{moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def parse_time(text: object) -> object:
    """Read RFC 3339 into an aware datetime in UTC; what is not text passes through to pydantic."""
    if not isinstance(text, str):
        return text
    return _moment(text)


@lru_cache(maxsize=4096)  # the same status is read several times in a pass
def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("write a time with a zone, such as 2027-01-01T00:00:00Z")
    return moment.astimezone(UTC)


Duration = Annotated[str, Field(max_length=44), Form(DURATION_PATTERN, _DURATION_MESSAGE)]
Time = Annotated[datetime, BeforeValidator(parse_time), PlainSerializer(format_time, return_type=str)]
# A time that a person writes. Status times are the operator's own.
WrittenTime = Annotated[
    Time,
    Rule(
        cel=matches("self", TIME_PATTERN),
        message="write a time with its zone in the years 2000 to 2999, such as 2027-01-01T00:00:00Z "
        "or 2027-01-01T01:00:00+01:00",
    ),
]


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

    map_type = "atomic"

    name: Name
    """The name of the object."""
    namespace: NamespaceName | None = None
    """Its namespace. Default: the one of the object that refers to it."""

    def within(self, namespace: str) -> str:
        """Return `namespace/name`, where an absent namespace is the given one."""
        return f"{self.namespace or namespace}/{self.name}"


class ConditionStatus(StrEnum):
    """Whether a condition holds."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class Condition(Model):
    """metav1.Condition, always with the generation that it was observed at."""

    type: Annotated[str, Field(max_length=316)]
    """What the condition is about, such as Ready."""
    status: ConditionStatus
    """Whether it holds."""
    reason: Annotated[str, Field(max_length=1024)]
    """Why, in one CamelCase word."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why, in a sentence or two, and what to do about it."""
    last_transition_time: Time
    """When the status last changed."""
    observed_generation: int
    """The generation of the spec that this was found for."""


class SelectorOperator(StrEnum):
    """How a label's value is compared."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelSelectorRequirement(Model):
    """One expression of a label selector."""

    cel = (
        Rule(
            cel="(self.operator in ['In', 'NotIn']) == (has(self.values) && size(self.values) > 0)",
            message="In and NotIn need values; Exists and DoesNotExist take none",
        ),
    )

    key: LabelKey
    """The label's key."""
    operator: SelectorOperator
    """How its value is compared with `values`, or whether the label is there."""
    values: Annotated[tuple[LabelValue, ...], Field(max_length=64)] = ()
    """The values for In and NotIn."""


class LabelSelector(Model):
    """metav1.LabelSelector: all of matchLabels and all of matchExpressions must hold."""

    map_type = "atomic"
    cel = (
        Rule(
            cel="(has(self.matchLabels) && size(self.matchLabels) > 0) || "
            "(has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            message="the selector is empty: write matchLabels or matchExpressions; "
            "for every namespace write from: All",
        ),
    )

    match_labels: Annotated[dict[str, LabelValue], LABEL_KEYS, Field(max_length=16)] = {}
    """Labels that the namespace has, with these values."""
    match_expressions: Annotated[tuple[LabelSelectorRequirement, ...], Field(max_length=8)] = ()
    """Further expressions that hold."""
