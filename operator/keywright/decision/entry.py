"""What is kept of an ApiKey: what a decision asks for, in the form in which it is compared, and no more.

An entry is made when its ApiKey changes. What its Project adds to it (expiry, scopes, limits, headers) is
worked out at the first decision after either changed, see `terms`: a Project that changes costs nothing at
once, however many keys it has.
"""

from __future__ import annotations

import re
from functools import lru_cache
from sys import intern
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from keywright.api.apikey import GenerationState, Restrictions
from keywright.api.meta import round_up
from keywright.api.project import KeyType
from keywright.decision.code import Code
from keywright.decision.limits import rule_of
from keywright.decision.networks import networks_of
from keywright.decision.origins import origins_of
from keywright.keys.generations import told_expiry

if TYPE_CHECKING:
    from collections.abc import Hashable
    from datetime import datetime

    from keywright.api import apikey
    from keywright.api.apikey import ApiKey
    from keywright.api.policy import RateLimit
    from keywright.decision.limits import Bucket
    from keywright.decision.networks import Networks
    from keywright.decision.origins import Origins
    from keywright.decision.outcome import Allowed
    from keywright.decision.terms import Granted, Terms

T = TypeVar("T", bound="Hashable")

NEVER = float("inf")
LONG_AGO = float("-inf")

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY_ID = re.compile(r"[a-z0-9]{1,16}")


class Times(NamedTuple):
    """What an ApiKey itself says of when a generation ends; `told` is the end that its status told."""

    created: datetime
    stamp: datetime | None
    told: datetime | None


class Generation:
    """One generation of an ApiKey.

    `expires`, and `allowed` for the request that nothing denies, hold for the entry's present terms.
    """

    __slots__ = ("allowed", "digest", "entry", "expires", "id", "proven", "retires", "revoked", "times")

    allowed: Allowed

    def __init__(self, entry: Entry, generation: apikey.Generation, times: Times) -> None:
        if not _DIGEST.fullmatch(generation.digest) or not _KEY_ID.fullmatch(generation.id):
            raise ValueError("a generation has an id and the SHA-256 of its key")
        state = generation.state
        self.entry = entry
        self.id = generation.id
        self.digest = bytes.fromhex(generation.digest.removeprefix("sha256:"))
        self.times: Times | None = None if state is GenerationState.EXPIRED else times
        """None: it has expired, whatever the times say by now."""
        self.retires = _retires(generation)
        self.revoked = state is GenerationState.REVOKED
        self.proven = False
        """Whether a credential with this digest was found to have the form of a key."""
        self.expires = LONG_AGO


class Entry:
    """One ApiKey. `terms`, `granted`, `hindrance` and `buckets` are what its Project made of it."""

    __slots__ = (
        "buckets",
        "created",
        "ends_at",
        "generations",
        "granted",
        "hindrance",
        "kept_buckets",
        "name",
        "namespace",
        "networks",
        "origins",
        "owner",
        "project",
        "rate_limits",
        "readable",
        "revoked",
        "scopes",
        "suspended",
        "terms",
        "type",
        "uid",
    )

    def __init__(self, name: str, uid: str) -> None:
        self.name = name
        """`namespace/name`."""
        self.namespace = intern(name.partition("/")[0])
        self.uid = uid
        self.readable = False
        """Whether the ApiKey could be parsed; of one that could not, no generation is known."""
        self.generations: tuple[Generation, ...] = ()
        self.revoked = False
        self.kept_buckets: tuple[Bucket, ...] = ()
        self.buckets: tuple[Bucket, ...] = ()
        self.terms: Terms | None = None
        self.granted: Granted | None = None
        self.hindrance: Code | None = Code.DISABLED_API_KEY
        """Why no key of it is let in at present, however it is used; None: nothing is in the way."""
        self.project = ""
        """`namespace/name` of its Project."""
        self.type = KeyType.PRODUCTION
        self.owner = ""
        self.scopes: tuple[str, ...] = ()
        """As they were asked for."""
        self.suspended = True
        self.ends_at: datetime | None = None
        self.created = NEVER
        self.rate_limits: tuple[RateLimit, ...] | None = None
        self.networks: Networks | None = None
        """None: from anywhere."""
        self.origins: Origins | None = None
        """None: from any page or app, also one that sends no origin."""

    def read(self, api_key: ApiKey) -> None:
        """Take over what an ApiKey says. Raises ValueError or OverflowError where it has no meaning."""
        spec, status = api_key.spec, api_key.status
        self.project = intern(api_key.project)
        self.type = spec.type
        self.owner = intern(spec.owner or "")
        self.scopes = _shared(spec.scopes or ())
        self.suspended = spec.suspend
        self.ends_at = _tellable(spec.expires_at)
        created = api_key.metadata.creation_timestamp
        self.created = created.timestamp() if created is not None else NEVER
        self.rate_limits = _shared(spec.rate_limits) if spec.rate_limits is not None else None
        for limit in spec.rate_limits or ():
            rule_of(limit)
        restrictions = spec.restrictions or Restrictions()
        self.networks = networks_of(restrictions.cidrs) if restrictions.cidrs else None
        needs_origin = restrictions.origins or (spec.type is KeyType.CLIENT and not restrictions.any_origin)
        self.origins = origins_of(restrictions.origins or ()) if needs_origin else None
        generations = tuple(
            Generation(
                self,
                g,
                Times(
                    g.created_at,
                    _tellable(g.expires_at),
                    _tellable(told_expiry(status, g)),
                ),
            )
            for g in status.keys
        )
        if len({g.digest for g in generations}) < len(generations):
            raise ValueError("no two generations have the same digest")
        self.generations = generations
        self.readable = True

    def unread(self) -> Entry:
        """Return what is left of an ApiKey that cannot be read: its name, and its buckets."""
        entry = Entry(self.name, self.uid)
        entry.kept_buckets = self.kept_buckets
        return entry


def _retires(generation: apikey.Generation) -> float:
    if generation.state is GenerationState.RETIRED:
        return LONG_AGO
    if generation.state is GenerationState.RETIRING and generation.retires_at is not None:
        return generation.retires_at.timestamp()
    return NEVER


def _tellable(moment: datetime | None) -> datetime | None:
    if moment is not None:
        round_up(moment)  # as headers tell it: the last second that there is has none to be rounded to
    return moment


@lru_cache(maxsize=4096)
def _shared(value: T) -> T:
    """Return the first of equal values, so that thousands of ApiKeys hold one of them."""
    return value
