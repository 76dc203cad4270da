"""What a Project makes of its keys: which scopes they have, when they end, what limits them.

A Project is compiled when it changes; each of its keys takes its terms over at its next decision. Keys of one
namespace and type that ask for the same scopes are granted the same, so that is worked out once for them all.
"""

from __future__ import annotations

from copy import copy
from functools import cache
from typing import TYPE_CHECKING

from keywright.api.apikey import ApiKey, ApiKeySpec
from keywright.api.meta import ObjectMeta, Ref, format_time, parse_duration, round_up
from keywright.api.project import KeyType
from keywright.decision.code import Code
from keywright.decision.entry import LONG_AGO, NEVER
from keywright.decision.limits import buckets_of, rule_of
from keywright.decision.outcome import Allowed
from keywright.decision.routes import Routes
from keywright.keys.generations import Bounds
from keywright.keys.grants import Denial, chooses_by_label, grant
from keywright.keys.rate_limits import effective_rate_limits
from keywright.keys.scopes import satisfies

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

    from keywright.api.project import Project
    from keywright.decision.entry import Entry, Generation
    from keywright.decision.limits import Bucket
    from keywright.decision.outcome import Headers
    from keywright.decision.routes import Need

_TYPE_HEADERS = {key_type: (b"x-auth-type", key_type.value.encode()) for key_type in KeyType}


class Granted:
    """What keys of one type are granted that ask for the same scopes in the same namespace."""

    __slots__ = ("header", "meets", "scopes", "type")

    def __init__(self, scopes: tuple[str, ...], key_type: KeyType) -> None:
        self.scopes = scopes
        self.type = key_type
        self.header = (b"x-auth-scopes", " ".join(scopes).encode("ascii"))
        self.meets = cache(self._meets)
        """Say whether the scopes are those that a request needs; asked once for each route."""

    def _meets(self, need: Need) -> bool:
        return all(self._has(scope) for scope in need.scopes) and all(
            any(self._has(scope) for scope in alternatives) for alternatives in need.any_scopes
        )

    def _has(self, scope: str) -> bool:
        return satisfies(self.scopes, scope, self.type)


class Terms:
    """One Project, and what it grants by the labels that namespaces have now."""

    __slots__ = (
        "_granted",
        "_labels",
        "_maximum",
        "_project",
        "buckets",
        "header",
        "kept_buckets",
        "routes",
        "suspended",
    )

    def __init__(
        self, project: Project, labels: Mapping[str, Mapping[str, str]], kept: tuple[Bucket, ...] = ()
    ) -> None:
        """`labels` are those of each namespace, kept up to date by whoever holds them."""
        spec = project.spec
        self._project = project
        self._labels = labels
        limits, defaults = spec.limits, spec.defaults
        text = limits.max_expires_after if limits is not None else None
        self._maximum: timedelta | None = parse_duration(text) if text is not None else None
        for limit in (defaults.rate_limits if defaults is not None else None) or ():
            rule_of(limit)
        self._granted: dict[tuple[str, KeyType, tuple[str, ...]], Granted | None] = {}
        self.routes = Routes(spec)
        self.suspended = spec.suspend
        rules = [rule_of(limit) for limit in spec.rate_limits or ()]
        self.buckets, self.kept_buckets = buckets_of(project.metadata.uid, rules, kept)
        name = f"{project.metadata.namespace}/{project.metadata.name}"
        self.header = (b"x-auth-project", name.encode("ascii"))

    @property
    def has_routes(self) -> bool:
        """Whether the Project says by path what a request needs."""
        return bool(self._project.spec.routes)

    def relabelled(self) -> Terms:
        """Return them as new, for the labels of a namespace changed."""
        fresh = copy(self)
        fresh._granted = {}  # noqa: SLF001  its own
        return fresh

    @property
    def choose_by_label(self) -> bool:
        """Whether the labels of namespaces decide about anything that is granted."""
        return chooses_by_label(self._project)

    def apply(self, entry: Entry) -> None:
        """Make these the terms of an ApiKey of the Project."""
        granted = self._grant(entry)
        limits = effective_rate_limits(entry.rate_limits, self._project, entry.type) or ()
        own, entry.kept_buckets = buckets_of(entry.uid, map(rule_of, limits), entry.kept_buckets)
        entry.granted = granted
        entry.hindrance = self._hindrance(entry, granted)
        entry.buckets = own + self.buckets
        shared = self._shared_headers(entry, granted)
        bounds = Bounds(entry.ends_at, self._maximum)
        for generation in entry.generations:
            _apply(generation, bounds, shared)
        entry.terms = self

    def _hindrance(self, entry: Entry, granted: Granted | None) -> Code | None:
        if entry.suspended:
            return Code.DISABLED_API_KEY
        if self.suspended:
            return Code.PROJECT_SUSPENDED
        return Code.NAMESPACE_NOT_ALLOWED if granted is None else None

    def _grant(self, entry: Entry) -> Granted | None:
        alike = (entry.namespace, entry.type, entry.scopes)
        if alike not in self._granted:
            self._granted[alike] = self._grant_anew(entry)
        return self._granted[alike]

    def _grant_anew(self, entry: Entry) -> Granted | None:
        namespace, name = entry.project.split("/")
        answer = grant(
            self._project,
            ApiKey.model_construct(
                metadata=ObjectMeta.model_construct(name="", namespace=entry.namespace),
                spec=ApiKeySpec.model_construct(
                    project_ref=Ref.model_construct(name=name, namespace=namespace),
                    type=entry.type,
                    scopes=entry.scopes,
                ),
            ),
            self._labels.get(entry.namespace),
        )
        return None if isinstance(answer, Denial) else Granted(answer.scopes, entry.type)

    def _shared_headers(self, entry: Entry, granted: Granted | None) -> Headers:
        return (
            (b"x-auth-api-key", entry.name.encode("ascii")),
            self.header,
            granted.header if granted is not None else (b"x-auth-scopes", b""),
            _TYPE_HEADERS[entry.type],
            (b"x-auth-service-account", entry.owner.encode("ascii")),
        )


def _apply(generation: Generation, bounds: Bounds, shared: Headers) -> None:
    times = generation.times
    expiry: datetime | None = None
    if times is None:
        generation.expires = LONG_AGO
    else:
        expiry = bounds.expiry_of(times.created, times.stamp)
        # An end that the status told stands, also where a bound was moved on since.
        if times.told is not None and (expiry is None or times.told < expiry):
            expiry = times.told
        generation.expires = expiry.timestamp() if expiry is not None else NEVER
    told = format_time(round_up(expiry)).encode() if expiry is not None else b""
    headers = ((b"x-auth-key-id", generation.id.encode()), *shared, (b"x-auth-expires-at", told))
    generation.allowed = Allowed(generation.entry, generation, headers, generation.entry.buckets)
