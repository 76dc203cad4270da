"""What a plan may ask for: one read or one write each, with the precondition that makes it safe to repeat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from keywright.api.apikey import ApiKeyStatus, Cause
    from keywright.api.reasons import EventReason
    from keywright.api.revocation import RevocationReason
    from keywright.keys.raw import RawKey


class Happening(NamedTuple):
    """Something worth an Event and a log line; `key_id` is empty where no generation is concerned.

    `subject` tells apart what may happen several times to one generation, or to none.
    """

    reason: EventReason
    note: str
    key_id: str = ""
    revision: int = 0
    subject: str = ""


@dataclass(frozen=True, slots=True)
class AddFinalizer:
    """Step 0 of a mint: from here on a deletion cannot outrun the revocation."""


@dataclass(frozen=True, slots=True)
class RemoveFinalizer:
    """The last step of a deletion."""


@dataclass(frozen=True, slots=True)
class ReadSecret:
    """A live read of the Secret."""


@dataclass(frozen=True, slots=True)
class ReadNamespace:
    """A live read of the Namespace: a lost Secret may be part of its end."""


@dataclass(frozen=True, slots=True)
class WriteStatus:
    """PUT of the status under the resourceVersion of the object that was seen.

    With `publishes` it makes that value's digest known, before anybody can read the value. With
    `activates` it says which cause was satisfied by a generation that the Secret carries.
    """

    status: ApiKeyStatus
    publishes: RawKey | None = None
    activates: Cause | None = None


@dataclass(frozen=True, slots=True)
class WriteSecret:
    """Create (no uid in the manifest) or replace the Secret under its uid and resourceVersion.

    With `reveals` it is the one write that makes a raw value readable; without, it mends entries around an
    untouched value.
    """

    manifest: Mapping[str, Any]
    reveals: str | None = None

    def __repr__(self) -> str:
        """Name what is written, never the data."""
        return f"WriteSecret(reveals={self.reveals!r})"


@dataclass(frozen=True, slots=True)
class DeleteSecret:
    """Delete exactly that Secret."""

    uid: str
    resource_version: str


@dataclass(frozen=True, slots=True)
class CreateRecord:
    """Create the Revocation of one generation in the system namespace; one that exists is success."""

    key_id: str
    until: str
    reason: RevocationReason


Action = (
    AddFinalizer
    | RemoveFinalizer
    | ReadSecret
    | ReadNamespace
    | WriteStatus
    | WriteSecret
    | DeleteSecret
    | CreateRecord
)
