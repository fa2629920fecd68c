"""The plan of an update on a screen: what changes, module by module, and what is left alone."""

from __future__ import annotations

import io
import math
import shlex
from collections.abc import Iterator, Mapping
from itertools import groupby

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from pytest_pe_perf.judge.compare import anchor_of
from pytest_pe_perf.judge.estimate import normalised
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.judge.renames import families, short
from pytest_pe_perf.model import METRICS, BaselineRow, Change, Key, Plan
from pytest_pe_perf.units import format_change, format_quantity

from .screen import printable

_COLOURS = {"create": "cyan", "fix": "red", "update": "green", "rename": "cyan", "trim": "dim"}
_LEFT_SHOWN = 10


def lines(plan: Plan, width: int = 80) -> list[str]:
    """Return the plan as plain lines of at most ``width`` columns."""
    text = io.StringIO()
    Console(file=text, width=width, color_system=None, legacy_windows=False).print(renderable(plan))
    return [line.rstrip() for line in text.getvalue().splitlines()]


def renderable(plan: Plan) -> RenderableType:
    """Return the plan as something that rich prints in any width."""
    return Group(*_changes(plan), *_left(plan), Text(summary(plan)))


def summary(plan: Plan) -> str:
    """Return the plan in one line: ``"1 create, 2 fix, 40 unchanged, 3 left alone"``."""
    counts = {kind: sum(change.kind == kind for change in plan.changes) for kind in (*_COLOURS, "complete")}
    counts |= {"unchanged": plan.unchanged, "left alone": len(plan.left)}
    return ", ".join(f"{count} {word}" for word, count in counts.items() if count) or "no rows"


def history_lines(noted: Mapping[str, str], refused: Mapping[str, str], pairs: Mapping[str, str]) -> list[str]:
    """Return what became of renamed tests in the history: ``pairs`` are their names, ``noted`` those that go on there.

    ``refused`` says of the others why not: of each reason once, with what is to be run later.
    """
    said = [f"the history of {old} goes on as {new}" for new, old in families(_turned(noted))]
    for why in dict.fromkeys(refused.values()):
        later = families({pairs[test]: test for test, reason in refused.items() if reason == why})
        commands = [f"  {shlex.join(('pe-perf', 'history', 'rename', old, new))}" for new, old in later]
        said += [f"the history still has the old names: {why}; tell it later with:", *commands]
    return [printable(line) for line in said]


def _turned(pairs: Mapping[str, str]) -> dict[str, str]:
    return {new: old for old, new in pairs.items()}


def _changes(plan: Plan) -> Iterator[RenderableType]:
    # Rows of before there was a hash get one all at once: of each there is nothing to be seen.
    shown = [change for change in plan.changes if change.kind != "complete"]
    values = {change.key: _values(change) for change in shown}
    widths = [max(map(len, column), default=0) for column in zip(*values.values(), strict=True)]
    for module, changes in groupby(shown, key=lambda change: module_of(change.key.test)):
        table = Table.grid(padding=(0, 2, 0, 0), expand=False)
        table.add_column(width=max(map(len, _COLOURS)))
        table.add_column(overflow="fold", min_width=12)
        table.add_column(width=max(map(len, METRICS)))
        table.add_column(width=widths[0])
        table.add_column(width=widths[1], justify="right")
        for change in changes:
            kind = Text(change.kind, style=_COLOURS[change.kind])
            pair, ratio = values[change.key]
            table.add_row(kind, _test(change), change.key.metric, pair, Text(ratio, "red" if change.worse else ""))
        yield Text(printable(module), style="bold")
        yield Padding(table, (0, 0, 0, 2), expand=False)
        yield Text("")


def _values(change: Change) -> tuple[str, str]:
    """Return the old and the new value, and the change between them."""
    unit = METRICS[change.key.metric].unit
    old, new = (row and format_quantity(row.value, unit) for row in (change.old, change.new))
    if change.old is None or change.new is None:
        return new or old or "", "new" if change.new else "gone"
    if change.kind == "rename":
        return new or "", "kept"
    return f"{old} -> {new}", _ratio(change.old, change.new)


def _ratio(old: BaselineRow, new: BaselineRow) -> str:
    # As the judge compares them: times in units of the reference workload, where both rows know it.
    if old.reference and new.reference:
        return format_change(normalised(new.value, new.reference) / normalised(old.value, old.reference))
    if not old.value:
        return "from 0" if new.value else format_change(1.0)
    ratio = new.value / old.value
    return format_change(ratio) if math.isfinite(ratio) else "from 0"


def _left(plan: Plan) -> Iterator[RenderableType]:
    by_reason: dict[str, list[Key]] = {}
    for key, why in plan.left:
        by_reason.setdefault(why, []).append(key)
    for why, keys in by_reason.items():
        yield Text(f"left alone: {printable(why)}", style="yellow")
        rows = [f"{key.metric} of {printable(key.label)}" for key in keys[:_LEFT_SHOWN]]
        if len(keys) > _LEFT_SHOWN:
            rows.append(f"... and {len(keys) - _LEFT_SHOWN} more")
        yield Padding(Text("\n".join(rows), overflow="fold"), (0, 0, 0, 2), expand=False)
        yield Text("")


def _test(change: Change) -> Text:
    """Return the test's name, and beneath it what the numbers do not say: its old name, and how far it has crept."""
    text = _label(change.key)
    if change.old is None or change.new is None:
        return text
    if change.old.key != change.key:
        text.append(f"\nwas {printable(short(change.old.key.test, change.key.test))}", "dim")
    if change.worse and change.old.anchor is not None:
        anchor = anchor_of(change.old)
        since = format_quantity(anchor.value, METRICS[change.key.metric].unit)
        text.append(f"\n{_ratio(anchor, change.new)} since its anchor, {since}", "red")
    return text


def _label(key: Key) -> Text:
    label = key.label.removeprefix(f"{module_of(key.test)}::")
    return Text(printable(label), overflow="fold")
