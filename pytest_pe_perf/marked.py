"""The limits that the markers of a test give it, read from its source without running any of it.

Only what stands there in so many words is seen: a marker beneath another one's name, one that is put on by a hook or by
a parameter, and a value that is computed are not. Then the settings of the project hold.
"""

from __future__ import annotations

import ast
import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from pytest_pe_perf.config import Settings, giving_way, split_marker, with_changes
from pytest_pe_perf.errors import ConfigError
from pytest_pe_perf.model import Budget

_MARKERS = ("pe_latency", "pe_memory")
_Place: TypeAlias = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a test's change may be ignored, what must be found, and its budgets by metric."""

    margin: float
    threshold: float
    budgets: Mapping[str, Budget] = field(default_factory=dict)


@dataclass
class Markers:
    """The markers in a project's files. ``read`` returns a file's content, None where there is none.

    ``settings`` hold where no marker says otherwise. ``paired``: for a comparison of two commits, see ``config.merge``.
    """

    read: Callable[[str], bytes | None]
    settings: Settings
    paired: bool
    _modules: dict[str, ast.Module | None] = field(default_factory=dict)

    def limits(self, test: str) -> Limits:
        """Return the limits of the test with this node id."""
        module, *names = test.partition("[")[0].split("::")
        budgets: dict[str, Budget] = {}
        changes: dict[str, Any] = {}
        for name, options in _options(self._path(module, names)):
            # A marker of base that cannot be read has stopped every run of base: nothing rests on it.
            with contextlib.suppress(ConfigError):
                limits, found = split_marker(name, options)
                budgets |= limits
                changes |= {option: value for option, value in found.items() if option in ("margin", "threshold")}
        settings = giving_way(self.settings, changes) if self.paired else self.settings
        with contextlib.suppress(ConfigError):
            settings = with_changes(settings, changes, test)
        return Limits(settings.margin, settings.threshold, budgets)

    def _path(self, module: str, names: Sequence[str]) -> list[_Place]:
        """Return the module, the classes and the function of a test, as far as they stand there."""
        if module not in self._modules:
            self._modules[module] = _parsed(self.read(module))
        place: _Place | None = self._modules[module]
        found: list[_Place] = []
        for name in names:
            if place is None:
                break
            found.append(place)
            place = _inner(place, name)
        return [*found, place] if place is not None else found


def _parsed(source: bytes | None) -> ast.Module | None:
    with contextlib.suppress(SyntaxError, ValueError, RecursionError):
        return ast.parse(source) if source is not None else None
    return None


def _inner(place: _Place, name: str) -> ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef | None:
    """Return what the name means within ``place`` once all of it has been run: the last of that name."""
    for node in reversed(place.body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            return node
    return None


def _options(path: Sequence[_Place]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the markers with what they say, in the order in which the later ones win."""
    for place in path:
        marks = _pytestmark(place.body) + (place.decorator_list if not isinstance(place, ast.Module) else [])
        for mark in marks:
            if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Attribute) and mark.func.attr in _MARKERS:
                yield mark.func.attr, _literals(mark.keywords)


def _pytestmark(body: Sequence[ast.stmt]) -> list[ast.expr]:
    found: list[ast.expr] = []
    for node in body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "pytestmark" for t in node.targets):
            found = list(node.value.elts) if isinstance(node.value, ast.List | ast.Tuple) else [node.value]
    return found


def _literals(keywords: Sequence[ast.keyword]) -> dict[str, Any]:
    found = {}
    for keyword in keywords:
        if keyword.arg is not None:
            with contextlib.suppress(ValueError, TypeError, RecursionError):
                found[keyword.arg] = ast.literal_eval(keyword.value)
    return found
