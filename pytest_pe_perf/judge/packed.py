"""Paired rows in few bytes and back. What is judged is what was unpacked, so that a file judges as the session did."""

from __future__ import annotations

from collections.abc import Sequence

from pytest_pe_perf.model import Block, PackedRestart, PackedRow, PairedRow, Restart, Turn

# Numbers of a turn, and what is kept of them: a millionth of a time is nothing beside any margin.
_WIDTH = 3
_DIGITS, _DECIMALS = 6, 3


def pack(row: PairedRow) -> PackedRow:
    """Return the row as a file holds it: times with six digits, shares with three decimals."""
    return PackedRow(
        row.key,
        row.source,
        row.threshold,
        row.margin,
        tuple(map(_packed, row.screen)),
        tuple(map(_packed, row.confirm)),
        row.budget,
        row.line,
        row.problem,
    )


def unpack(row: PackedRow) -> PairedRow:
    """Return the row that was packed.

    Raises:
        ValueError: the numbers of a restart do not make whole turns on both sides of every block.

    """
    return PairedRow(
        row.key,
        row.source,
        row.threshold,
        row.margin,
        tuple(map(_unpacked, row.screen)),
        tuple(map(_unpacked, row.confirm)),
        row.budget,
        row.line,
        row.problem,
    )


def _packed(restart: Restart) -> PackedRestart:
    return PackedRestart(
        restart.calls,
        tuple(_numbers(block.base) for block in restart.blocks),
        tuple(_numbers(block.head) for block in restart.blocks),
    )


def _numbers(turns: Sequence[Turn]) -> tuple[float, ...]:
    return tuple(
        number for turn in turns for number in (_short(turn.low), _short(turn.least), round(turn.away, _DECIMALS))
    )


def _short(value: float) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _unpacked(restart: PackedRestart) -> Restart:
    blocks = zip(restart.base, restart.head, strict=True)
    return Restart(tuple(Block(_turns(base), _turns(head)) for base, head in blocks), restart.calls)


def _turns(numbers: Sequence[float]) -> tuple[Turn, ...]:
    if len(numbers) % _WIDTH:
        raise ValueError(f"{len(numbers)} numbers make no whole turns of {_WIDTH}")
    return tuple(Turn(*numbers[i : i + _WIDTH]) for i in range(0, len(numbers), _WIDTH))
