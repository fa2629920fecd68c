"""A baseline file as text: valid JSON, laid out by hand so that git shows a changed row as a changed line."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, replace
from decimal import ROUND_UP, Context, Decimal

from pytest_pe_perf.model import METRICS, BaselineRow, Environment

FORMAT = 1


def render(module: str, environment: Environment, rows: Iterable[BaselineRow]) -> bytes:
    """Return the bytes of a module's file: rows sorted, one a line; LF, UTF-8 and a line end at the end.

    Times keep 4 digits and spreads 2, which is more than they are worth and steady under review. Counts and sizes
    are kept whole: a count is compared to its last digit.
    """
    lines = [_line(row) for row in sorted(rows, key=lambda row: row.key)]
    body = "".join(f"\n    {line}," for line in lines).removesuffix(",")
    return (
        "{\n"
        f'  "format": {FORMAT},\n'
        f'  "module": {_json(module)},\n'
        f'  "environment": {_object(asdict(environment))},\n'
        f'  "rows": [{body}\n  ]\n'
        "}\n"
    ).encode()


def rounded(row: BaselineRow) -> BaselineRow:
    """Return the row with its numbers as they are stored."""
    noisy = METRICS[row.key.metric].assume == "noisy"
    return replace(
        row,
        value=_four_digits(row.value) if noisy else row.value,
        anchor=_four_digits(row.anchor) if noisy and row.anchor is not None else row.anchor,
        reference=None if row.reference is None else _four_digits(row.reference),
        # Rounded up: what the processes saw stays within what is recorded.
        spread=float(Context(prec=2, rounding=ROUND_UP).plus(Decimal(repr(row.spread)))),
    )


def _four_digits(value: float) -> float:
    return float(f"{value:.3e}")


def _line(row: BaselineRow) -> str:
    row = rounded(row)
    fields = {
        "test": row.key.test.partition("::")[2],
        "name": row.key.name or None,
        "metric": row.key.metric,
        "value": row.value,
        "unit": METRICS[row.key.metric].unit,
        "reference": row.reference,
        "spread": row.spread,
        "made_with": row.made_with,
        "source": row.source,
        "body": row.body or None,
        "anchor": row.anchor,
        "renamed_from": row.renamed_from or None,
        "reason": row.reason or None,
    }
    return _object({name: value for name, value in fields.items() if value is not None})


def _object(fields: Mapping[str, object]) -> str:
    return "{" + ", ".join(f'"{name}": {_json(value)}' for name, value in fields.items()) + "}"


def _json(value: object) -> str:
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    # A character that is not seen, or turns the direction of the line, has no place in a file that people review.
    return text if text.isprintable() else "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
