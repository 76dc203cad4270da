"""Which rate limits apply to an ApiKey: its own, else the Project's defaults, else those of its type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keywright.api.policy import RateLimit
from keywright.api.project import KeyType

if TYPE_CHECKING:
    from keywright.api.project import Project

CLIENT_RATE_LIMITS = (RateLimit(requests=100, period="1m"),)


def effective_rate_limits(
    own: tuple[RateLimit, ...] | None, project: Project | None, key_type: KeyType
) -> tuple[RateLimit, ...] | None:
    """Return the limits that apply to a key of that type; () where somebody wrote that there are none.

    `own` are the ApiKey's. The limits that all keys of the Project share come on top.
    """
    defaults = project.spec.defaults if project is not None else None
    client = CLIENT_RATE_LIMITS if key_type is KeyType.CLIENT else None
    chosen = (own, defaults.rate_limits if defaults is not None else None, client)
    return next((limits for limits in chosen if limits is not None), None)
