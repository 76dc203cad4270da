"""Every condition reason and Event that Keywright writes, each with the one sentence that explains it.

The order of `ReadyReason` is the order of precedence: when several apply to an ApiKey, the first
one is shown.
"""

from __future__ import annotations

from enum import StrEnum


class ReadyReason(StrEnum):
    """Why an ApiKey is, or is not, Ready; in order of precedence."""

    DELETING = "Deleting"
    INVALID_SPEC = "InvalidSpec"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    PROJECT_NOT_FOUND = "ProjectNotFound"
    PROJECT_INVALID = "ProjectInvalid"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    TYPE_NOT_ALLOWED = "TypeNotAllowed"
    SCOPE_NOT_ALLOWED = "ScopeNotAllowed"
    QUOTA_EXCEEDED = "QuotaExceeded"
    SUSPENDED = "Suspended"
    PROJECT_SUSPENDED = "ProjectSuspended"
    SECRET_CONFLICT = "SecretConflict"  # noqa: S105  a reason, not a password
    SECRET_LOST = "SecretLost"  # noqa: S105
    MINTING = "Minting"
    ACTIVE = "Active"

    @property
    def sentence(self) -> str:
        """What the reason means, for documents and as the start of a message."""
        return _READY[self]


_READY = {
    ReadyReason.DELETING: "The ApiKey is being deleted: its generations are revoked, then its Secret goes.",
    ReadyReason.INVALID_SPEC: "The spec, together with the Project's defaults and limits, has no meaning.",
    ReadyReason.REVOKED: "A Revocation of the whole ApiKey is in force; none of its keys is valid again.",
    ReadyReason.EXPIRED: "The key has reached its end.",
    ReadyReason.PROJECT_NOT_FOUND: "The Project that projectRef names does not exist.",
    ReadyReason.PROJECT_INVALID: "The Project that projectRef names cannot be read.",
    ReadyReason.NAMESPACE_NOT_ALLOWED: "The Project does not allow ApiKeys of this namespace.",
    ReadyReason.TYPE_NOT_ALLOWED: "The Project does not allow ApiKeys of this type.",
    ReadyReason.SCOPE_NOT_ALLOWED: "The Project does not grant every scope that the ApiKey asks for.",
    ReadyReason.QUOTA_EXCEEDED: "The Project has as many ApiKeys as it may have.",
    ReadyReason.SUSPENDED: "The ApiKey is suspended: denied, and neither minted nor rotated.",
    ReadyReason.PROJECT_SUSPENDED: "The Project is suspended: denied, and neither minted nor rotated.",
    ReadyReason.SECRET_CONFLICT: "A Secret of that name is someone else's; it is left untouched.",
    ReadyReason.SECRET_LOST: "The Secret, or the value in it, is gone or was changed by hand.",
    ReadyReason.MINTING: "A key is being minted.",
    ReadyReason.ACTIVE: "The key in the Secret is valid.",
}


class RotatingReason(StrEnum):
    """What the condition Rotating says."""

    IDLE = "Idle"
    OVERLAP = "Overlap"
    RESTARTING_WORKLOADS = "RestartingWorkloads"
    OVERLAP_FULL = "OverlapFull"

    @property
    def sentence(self) -> str:
        """What the reason means."""
        return _ROTATING[self]


_ROTATING = {
    RotatingReason.IDLE: "No rotation is under way.",
    RotatingReason.OVERLAP: "The new key and at least one older key are both valid.",
    RotatingReason.RESTARTING_WORKLOADS: "Workloads are being restarted to pick up the new key.",
    RotatingReason.OVERLAP_FULL: "A rotation waits: four generations are still valid.",
}


class ProjectReason(StrEnum):
    """Why a Project is, or is not, Ready."""

    ACCEPTED = "Accepted"
    INVALID_SPEC = "InvalidSpec"

    @property
    def sentence(self) -> str:
        """What the reason means."""
        return _PROJECT[self]


_PROJECT = {
    ProjectReason.ACCEPTED: "ApiKeys may refer to this Project.",
    ProjectReason.INVALID_SPEC: "A part of the spec has no meaning; ApiKeys that use it are InvalidSpec.",
}


class RevocationReadyReason(StrEnum):
    """Why a Revocation is, or is not, Ready."""

    IN_FORCE = "InForce"
    NOT_AUTHORIZED = "NotAuthorized"
    KEY_NOT_FOUND = "KeyNotFound"

    @property
    def sentence(self) -> str:
        """What the reason means."""
        return _REVOCATION[self]


_REVOCATION = {
    RevocationReadyReason.IN_FORCE: "What it names is never valid again.",
    RevocationReadyReason.NOT_AUTHORIZED: (
        "It stands neither in the ApiKey's namespace nor in its Project's nor in the system namespace."
    ),
    RevocationReadyReason.KEY_NOT_FOUND: "Nothing that it names is known yet; it acts once it is.",
}


class EventReason(StrEnum):
    """What happened; each Event names key id and revision and never more of the key."""

    MINTED = "Minted"
    ROTATED = "Rotated"
    RETIRED = "Retired"
    REVOKED = "Revoked"
    EXPIRED = "Expired"
    EXPIRING_SOON = "ExpiringSoon"
    SECRET_RESTORED = "SecretRestored"  # noqa: S105
    SECRET_CONFLICT = "SecretConflict"  # noqa: S105
    DEFAULT_KEY_CONFLICT = "DefaultKeyConflict"
    NO_OVERLAP = "NoOverlap"
    INVALID_TOKEN = "InvalidToken"  # noqa: S105
    WORKLOAD_RESTARTED = "WorkloadRestarted"
    WORKLOAD_NOT_RESTARTED = "WorkloadNotRestarted"

    @property
    def warning(self) -> bool:
        """Whether the Event is of type Warning rather than Normal."""
        return self in _WARNINGS

    @property
    def sentence(self) -> str:
        """What the Event means."""
        return _EVENTS[self]


_WARNINGS = frozenset(
    {
        EventReason.EXPIRED,
        EventReason.EXPIRING_SOON,
        EventReason.SECRET_CONFLICT,
        EventReason.DEFAULT_KEY_CONFLICT,
        EventReason.NO_OVERLAP,
        EventReason.INVALID_TOKEN,
        EventReason.WORKLOAD_NOT_RESTARTED,
    },
)

_EVENTS = {
    EventReason.MINTED: "The first key was minted and written into the Secret.",
    EventReason.ROTATED: "A new key was minted and written into the Secret.",
    EventReason.RETIRED: "An old key's overlap is over; it is no longer accepted.",
    EventReason.REVOKED: "A key was revoked; it is never accepted again.",
    EventReason.EXPIRED: "A key has reached its end; it is no longer accepted.",
    EventReason.EXPIRING_SOON: "The key ends soon and no rotation comes first.",
    EventReason.SECRET_RESTORED: "Entries changed by hand were restored, or the value was taken over again.",
    EventReason.SECRET_CONFLICT: "A Secret of that name exists and belongs to someone else.",
    EventReason.DEFAULT_KEY_CONFLICT: "An ApiKey with the default key's name is not the Project's.",
    EventReason.NO_OVERLAP: "The old key ended at the moment of rotation.",
    EventReason.INVALID_TOKEN: "A rotate or regenerate token does not have the form of one.",
    EventReason.WORKLOAD_RESTARTED: "A workload was restarted to pick up the new key.",
    EventReason.WORKLOAD_NOT_RESTARTED: "A workload was not restarted, or has not rolled out after an hour.",
}
