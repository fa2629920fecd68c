"""Fields of a baseline file, checked one by one: a number that nobody can have measured is not compared with."""

from __future__ import annotations

import math
from dataclasses import fields
from typing import Any

from pytest_pe_perf.model import METRICS, BaselineRow, Environment, Key

_REQUIRED = {"test", "metric", "value", "unit", "spread", "made_with", "source"}
_NUMBERS = {"reference", "anchor"}
_OPTIONAL = {"name", "reason", "body", "renamed_from", *_NUMBERS}
_TEXTS = ("test", "metric", "unit", "made_with", "source", *sorted(_OPTIONAL - _NUMBERS))


class Malformed(Exception):  # noqa: N818
    """What is wrong with a field. The store, which knows the file, makes a BaselineError of it."""


def read_module(content: dict[str, Any]) -> tuple[str, Environment, dict[Key, BaselineRow]]:
    """Return the module, the environment and the rows of a file's content.

    Raises:
        Malformed: something in it is missing, unknown, of the wrong kind, or impossible.

    """
    expected = {"format", "module", "environment", "rows"}
    if content.keys() != expected:
        names = ", ".join(sorted(content.keys() ^ expected))
        raise Malformed(f"missing or unknown fields at the top: {names}")
    module, found = content["module"], content["rows"]
    if not isinstance(module, str) or not module or "::" in module:
        raise Malformed(f"the module is {module!r}, not a name")
    if not isinstance(found, list):
        raise Malformed("the rows are not a list")
    rows: dict[Key, BaselineRow] = {}
    for number, item in enumerate(found, 1):
        row = _row(module, item, number)
        if row.key in rows:
            raise Malformed(f"row {number} repeats the {row.key.metric} of {row.key.label!r}")
        rows[row.key] = row
    return module, _environment(content["environment"]), rows


def _environment(item: Any) -> Environment:
    names = [field.name for field in fields(Environment)]
    _check_fields("the environment", item, set(names), set())
    for name in names:
        if type(item[name]) is not (int if name == "cores" else str):
            raise Malformed(f"the environment's {name} is {item[name]!r}")
    return Environment(**item)


def _row(module: str, item: Any, number: int) -> BaselineRow:
    where = f"row {number}"
    _check_fields(where, item, _REQUIRED, _OPTIONAL)
    for name in _TEXTS:
        if not isinstance(item.get(name, ""), str):
            raise Malformed(f"{where}: the {name} is {item[name]!r}, not a text")
    _check_metric(where, item)
    noisy = METRICS[item["metric"]].assume == "noisy"
    return BaselineRow(
        key=Key(f"{module}::{item['test']}", item.get("name", ""), item["metric"]),
        value=_number(where, "value", item["value"], positive=noisy),
        source=item["source"],
        reference=_number(where, "reference", item["reference"], positive=True) if "reference" in item else None,
        spread=_number(where, "spread", item["spread"], positive=False),
        made_with=item["made_with"],
        reason=item.get("reason", ""),
        body=item.get("body", ""),
        anchor=_number(where, "anchor", item["anchor"], positive=noisy) if "anchor" in item else None,
        renamed_from=item.get("renamed_from", ""),
    )


def _check_fields(where: str, item: Any, required: set[str], optional: set[str]) -> None:
    if not isinstance(item, dict):
        raise Malformed(f"{where} is not an object")
    if missing := required - item.keys():
        raise Malformed(f"{where} has no {', '.join(sorted(missing))}")
    if unknown := item.keys() - required - optional:
        raise Malformed(f"{where} has an unknown field: {', '.join(sorted(unknown))}")


def _check_metric(where: str, item: dict[str, Any]) -> None:
    metric = METRICS.get(item["metric"])
    if metric is None or metric.assume == "nothing":
        judged = ", ".join(name for name, metric in METRICS.items() if metric.assume != "nothing")
        raise Malformed(f"{where}: the metric {item['metric']!r} is none of {judged}")
    if item["unit"] != metric.unit:
        raise Malformed(f"{where}: the unit of {metric.name} is {metric.unit!r}, not {item['unit']!r}")


def _number(where: str, name: str, value: Any, *, positive: bool) -> float:
    least = "more than 0" if positive else "0 or more"
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Malformed(f"{where}: the {name} is {value!r}, not a number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number) or number < 0 or (positive and number == 0):
        raise Malformed(f"{where}: the {name} is {number}; it must be {least}")
    return number
