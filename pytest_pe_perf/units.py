"""Quantities to text and back: ``"5 ms"``, ``"10 MiB"``, ``"5 %"``. Base units are seconds, bytes, fractions."""

from __future__ import annotations

import math
import re

from .errors import UnitError

_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0}
_BYTES = {
    "b": 1.0,
    "kb": 1e3,
    "mb": 1e6,
    "gb": 1e9,
    "kib": 2.0**10,
    "mib": 2.0**20,
    "gib": 2.0**30,
}
_QUANTITY = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*([^\d\s.]*)\s*")


def _parse(text: object, table: dict[str, float], example: str, what: str) -> float:
    match = _QUANTITY.fullmatch(text) if isinstance(text, str) else None
    scale = table.get(match[2].lower()) if match else None
    if match is None or scale is None or not math.isfinite(value := float(match[1]) * scale) or value < 0:
        units = ", ".join(dict.fromkeys(unit for unit in table if unit.isascii()))
        raise UnitError(f"{text!r} is not a {what}: write a number and a unit ({units}), for example {example!r}")
    return value


def parse_seconds(text: object) -> float:
    """Return the seconds that ``text`` names, e.g. ``0.005`` for ``"5 ms"``.

    Raises:
        UnitError: no number, no unit, or a unit that is not one of time.

    """
    return _parse(text, _SECONDS, "5 ms", "duration")


def parse_bytes(text: object) -> float:
    """Return the bytes that ``text`` names; ``MB`` is 10**6, ``MiB`` is 2**20.

    Raises:
        UnitError: no number, no unit, or a unit that is not one of size.

    """
    return _parse(text, _BYTES, "10 MiB", "size")


def parse_share(text: object) -> float:
    """Return the fraction that ``text`` names, e.g. ``0.05`` for ``"5 %"``.

    Raises:
        UnitError: no number or no percent sign.

    """
    return _parse(text, {"%": 0.01}, "5 %", "share")


def _scaled(value: float, steps: list[tuple[float, str]]) -> str:
    size = abs(value)
    # 0.9995 and above would round up to "1000" of this unit: take the next one.
    scale, unit = next(((s, u) for s, u in steps if size >= s * 0.9995), steps[-1])
    number = value / scale
    # 9.995 and 99.95 would round up to a fourth digit.
    digits = 0 if abs(number) >= 99.95 else 1 if abs(number) >= 9.995 else 2
    return f"{number:.{digits}f} {unit}"


def format_seconds(value: float) -> str:
    """Return ``value`` seconds with three digits: ``"12.3 µs"``."""
    return _scaled(value, [(60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")])


def format_bytes(value: float) -> str:
    """Return ``value`` bytes with three digits: ``"1.50 KiB"``."""
    if abs(value) < 999.5:
        return f"{value:.3g} B"
    return _scaled(value, [(2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB")])


def format_count(value: float) -> str:
    """Return a count: ``"1,234"``."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.2f}"


def format_quantity(value: float, unit: str) -> str:
    """Return ``value`` of base unit ``"s"``, ``"B"`` or ``"1"`` for people."""
    if unit == "s":
        return format_seconds(value)
    return format_bytes(value) if unit == "B" else format_count(value)


def format_change(ratio: float) -> str:
    """Return a ratio as a signed change: ``"+12.3 %"``, ``"2.1x"`` from a doubling on."""
    if not math.isfinite(ratio):
        return "new" if ratio == math.inf else "?"
    if ratio >= 999_999.5:
        return f"{ratio:.2e}x".replace("e+0", "e+")
    if ratio >= 2:
        return f"{ratio:.3g}x" if ratio < 999.5 else f"{ratio:.0f}x"
    return f"{(ratio - 1) * 100:+z.1f} %"
