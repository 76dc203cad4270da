"""The three kinds as kubectl knows them: names, columns and the fields that can be selected by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from keywright.api.apikey import ApiKey
from keywright.api.project import Project
from keywright.api.revocation import Revocation

if TYPE_CHECKING:
    from keywright.api.meta import Model


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`, with `-o wide` only where `wide`."""

    name: str
    path: str
    description: str
    type: str = "string"
    wide: bool = False


@dataclass(frozen=True)
class Kind:
    """A kind of resource, and how it is shown."""

    model: type[Model]
    plural: str
    short_name: str
    longest_name: int | None
    columns: tuple[Column, ...]
    selectable_fields: tuple[str, ...] = ()


_READY = Column(
    "Ready",
    ".status.conditions[?(@.type=='Ready')].status",
    "Whether it does what its spec says.",
)
_STATUS = Column(
    "Status",
    ".status.conditions[?(@.type=='Ready')].reason",
    "The reason of the condition Ready.",
)
_AGE = Column("Age", ".metadata.creationTimestamp", "Time since its creation.", type="date")

# A future time is a string: a column of type date says how long ago a time was, and <invalid> of these.
KINDS = (
    Kind(
        model=Project,
        plural="projects",
        short_name="kwproj",
        longest_name=55,
        columns=(
            Column("Prefix", ".spec.keyPrefix", "What its keys begin with."),
            Column("Keys", ".status.keys.total", "How many ApiKeys refer to it.", type="integer"),
            _READY,
            _STATUS,
            _AGE,
            Column(
                "Keys-Ready", ".status.keys.ready", "How many of them are Ready.", type="integer", wide=True
            ),
            Column(
                "Suspended", ".spec.suspend", "Whether all its keys are denied.", type="boolean", wide=True
            ),
            Column("Display-Name", ".spec.displayName", "Its name for people.", wide=True),
        ),
    ),
    Kind(
        model=ApiKey,
        plural="apikeys",
        short_name="ak",
        longest_name=63,
        columns=(
            Column("Project", ".spec.projectRef.name", "The Project that grants it."),
            Column("Type", ".spec.type", "Production, Development or Client."),
            _READY,
            _STATUS,
            Column("Key-ID", ".status.currentKeyID", "The id of the key in the Secret."),
            Column("Next-Rotation", ".status.nextRotationTime", "When it is replaced next."),
            Column("Last-Used", ".status.lastUsedAt", "Time since it was last presented.", type="date"),
            _AGE,
            Column("Secret", ".status.secretName", "The Secret that carries it.", wide=True),
            Column("Expires", ".status.expiresAt", "When the current key ends.", wide=True),
            Column("Scopes", ".status.effective.scopes", "What it may do.", wide=True),
        ),
        selectable_fields=(".spec.projectRef.name", ".spec.type", ".spec.owner"),
    ),
    Kind(
        model=Revocation,
        plural="revocations",
        short_name="krev",
        longest_name=None,
        columns=(
            Column("Key-ID", ".spec.keyID", "The key that it revokes."),
            Column("ApiKey", ".status.apiKey", "The ApiKey that it was found to act on."),
            Column("Reason", ".spec.reason", "Why it was revoked."),
            _READY,
            _STATUS,
            _AGE,
            Column("Project", ".status.project", "That ApiKey's Project.", wide=True),
            Column("Message", ".spec.message", "What happened.", wide=True),
        ),
        selectable_fields=(".spec.keyID", ".spec.apiKeyRef.name", ".spec.reason"),
    ),
)
