"""What a pass knows of one ApiKey when it plans: the whole input of `plan`, read by nobody else.

Nothing here is remembered between passes except `verified`, `held`, `refusal` and `restarted`, which a new
process lacks without harm: a forgotten raw value is replaced by a new one, a forgotten check is made again.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, NamedTuple

from keywright.keys.usage import NEVER, LastUsed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from keywright.api.apikey import ApiKey
    from keywright.api.project import Project
    from keywright.api.revocation import RevocationReason
    from keywright.api.workload import Workload
    from keywright.keys.raw import RawKey
    from keywright.keys.seal import SealingKeys
    from keywright.keys.secret import SecretView
    from keywright.keys.terms import Terms
    from keywright.keys.workload import Found


@dataclass(frozen=True, slots=True)
class Unread:
    """The Secret has not been read in this pass."""


@dataclass(frozen=True, slots=True)
class Absent:
    """There is no Secret of that name, by a live read or, for an ApiKey that is new, by the watch.

    Where the watch was behind, or looked for another type, the create that follows is refused.
    """


@dataclass(frozen=True, slots=True)
class Watched:
    """What a watch knows of the Secret: its resourceVersion; None: that there is none."""

    version: str | None


@dataclass(frozen=True, slots=True)
class Verified:
    """When the Secret was last found as it should be, in which version and by what inputs.

    `plan` says by which inputs.
    """

    at: datetime
    version: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """The API server said no to the Secret: why, and when it is worth another try of the same spec."""

    explanation: str
    retry_at: datetime
    generation: int


class Seen(NamedTuple):
    """One ApiKey and all that decides what becomes of it.

    `project` is None where it does not exist, or its namespace is not one that the operator serves
    (`project_served`); `project_readable` is False where it exists and cannot be parsed; `unreadable`
    says which field of the ApiKey's own spec cannot. `namespace_labels` is None where the operator may
    not read Namespaces. `watched` is None where no watch tells of Secrets. `siblings` counts the ApiKeys
    that come before this one in its Project and, of those, in its namespace. `held` are raw values of
    Pending generations that this process minted and may still reveal, `refused` those whose only reveal
    the API server refused. `revoked` are generations that a Revocation in force names, `recorded` those
    that have a record in the system namespace, where `records_possible` is False once that is going
    away. `sealing` is None, and `reporting_possible` may be False, for an ApiKey that is being deleted.
    `rollout_restart` says whether workloads may be restarted at all; `workloads` are those read in this
    pass, `restarted` what this process has annotated them with, `restarting_since` when it first read any for
    the current key. `last_used` is what verifiers have said of the use of its keys. `terms` are those that
    follow from all this, where they are known already.
    """

    api_key: ApiKey
    project: Project | None
    sealing: SealingKeys | None
    secret: SecretView | Absent | Unread = Unread()
    project_readable: bool = True
    project_served: bool = True
    unreadable: str | None = None
    namespace_labels: Mapping[str, str] | None = None
    namespace_terminating: bool | None = None
    siblings: tuple[int, int] = (0, 0)
    verified: Verified | None = None
    watched: Watched | None = None
    held: Mapping[str, RawKey] = MappingProxyType({})
    refused: frozenset[str] = frozenset()
    refusal: Refusal | None = None
    revoked: Mapping[str, RevocationReason] = MappingProxyType({})
    revoked_whole: RevocationReason | None = None
    recorded: frozenset[str] = frozenset()
    records_possible: bool = True
    reporting_possible: bool = True
    foreign_digests: frozenset[str] = frozenset()
    clock_trusted: bool = True
    rollout_restart: bool = False
    workloads: Mapping[Workload, Found] = MappingProxyType({})
    restarted: Mapping[Workload, str] = MappingProxyType({})
    restarting_since: datetime | None = None
    last_used: LastUsed = NEVER
    terms: Terms | None = None
