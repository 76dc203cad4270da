"""All that is known of Projects, ApiKeys, Revocations and Namespaces, ready to be asked for by digest."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


class Index:
    """What decisions are made from. Objects arrive as JSON, in any order, and again and again."""

    def __init__(self, *, system_namespace: str = "keywright-system") -> None:
        self._system_namespace = system_namespace

    def put(self, kind: str, obj: dict[str, Any]) -> None:
        """Take over a state of an object (kind: project, apikey, revocation, namespace)."""
        raise NotImplementedError

    def remove(
        self, kind: str, name: str, *, uid: str | None = None, resource_version: str | None = None
    ) -> None:
        """Forget an object, `namespace/name` (of a Namespace its name)."""
        raise NotImplementedError

    def replace(self, kind: str, objects: Iterable[dict[str, Any]], *, namespace: str | None = None) -> None:
        """Take over a whole list, of one namespace if given: what is not in it is gone."""
        raise NotImplementedError
