"""Which scopes a request needs: the routes of a Project as a tree, one level for each segment.

At each level a literal is tried before `{x}`, and that before `/*`; a branch that has no route for the method
is left again. So of all routes that match, the one is found that is the most literal from the left.
Routes that cannot be told apart by a request must all hold.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from keywright.api.project import UnmatchedRoutes

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from keywright.api.project import ProjectSpec, Route


@dataclass(frozen=True, slots=True, eq=False)
class Need:
    """What a request needs: all of `scopes`, and one of each of `any_scopes`."""

    public: bool = False
    scopes: tuple[str, ...] = ()
    any_scopes: tuple[tuple[str, ...], ...] = ()

    @property
    def named(self) -> tuple[str, ...]:
        """Every scope that a challenge names."""
        return tuple(dict.fromkeys((*self.scopes, *(name for names in self.any_scopes for name in names))))


_ANY_GOOD_KEY = Need()
_REMEMBERED = 256  # requests, by method and path


class _Methods:
    """What is needed at one path, by method."""

    __slots__ = ("_by_method", "_otherwise")

    def __init__(self, routes: Sequence[Route]) -> None:
        any_method = [route for route in routes if not route.methods]
        methods = {method for route in routes for method in route.methods or ()}
        if "GET" in methods:
            methods.add("HEAD")
        self._otherwise = _all_of(any_method)
        self._by_method = {
            method: _all_of(
                [route for route in routes if not route.methods or _serves(route.methods, method)]
            )
            for method in methods
        }

    def need(self, method: str) -> Need | None:
        return self._by_method.get(method, self._otherwise)


def _serves(methods: Sequence[str], method: str) -> bool:
    return method in methods or (method == "HEAD" and "GET" in methods)


def _all_of(routes: Sequence[Route]) -> Need | None:
    if not routes:
        return None
    return Need(
        # A public route takes no scopes; one that has some all the same, or stands beside another, is none.
        public=all(route.public and not route.scopes and not route.any_scopes for route in routes),
        scopes=tuple(dict.fromkeys(name for route in routes for name in route.scopes or ())),
        any_scopes=tuple(dict.fromkeys(route.any_scopes for route in routes if route.any_scopes)),
    )


class _Node:
    __slots__ = ("here", "literals", "one", "rest")

    def __init__(self) -> None:
        self.literals: dict[str, _Node] = {}
        self.one: _Node | None = None
        self.here: _Methods | None = None
        self.rest: _Methods | None = None

    def find(self, segments: list[str], depth: int, method: str) -> Need | None:
        if depth == len(segments):
            return self.here.need(method) if self.here is not None else None
        segment = segments[depth]
        child = self.literals.get(segment)
        if child is not None:
            found = child.find(segments, depth + 1, method)
            if found is not None:
                return found
        if self.one is not None and segment:
            found = self.one.find(segments, depth + 1, method)
            if found is not None:
                return found
        return self.rest.need(method) if self.rest is not None else None


class Routes:
    """The routes of a Project."""

    __slots__ = ("_root", "_unmatched", "need")

    def __init__(self, spec: ProjectSpec) -> None:
        routes = spec.routes or ()
        denied = spec.unmatched_routes is UnmatchedRoutes.DENY or (spec.unmatched_routes is None and routes)
        self._unmatched = None if denied else _ANY_GOOD_KEY
        self._root = _tree(routes)
        self.need = lru_cache(maxsize=_REMEMBERED)(self._need)
        """Return what a request with this method and path needs; None: no route allows it, whoever asks."""

    def _need(self, method: str, path: str) -> Need | None:
        found = self._root.find(_segments(path), 0, method)
        return self._unmatched if found is None else found


def _segments(path: str) -> list[str]:
    segments = path.split("/")
    del segments[0]
    if segments and not segments[-1]:
        del segments[-1]
    return segments


def _tree(routes: Iterable[Route]) -> _Node:
    by_shape: dict[tuple[str, ...], list[Route]] = {}
    for route in routes:
        by_shape.setdefault(_shape(route.path), []).append(route)
    root = _Node()
    for shape, alike in by_shape.items():
        node, below = root, shape and shape[-1] == "*"
        for segment in shape[:-1] if below else shape:
            if segment == "{}":
                node.one = node.one or _Node()
                node = node.one
            else:
                node = node.literals.setdefault(segment, _Node())
        if below:
            node.rest = _Methods(alike)
        else:
            node.here = _Methods(alike)
    return root


def _shape(path: str) -> tuple[str, ...]:
    """Return the segments of a route's path; what a parameter is called tells no request from another."""
    return tuple("{}" if segment.startswith("{") else segment for segment in _segments(path))
