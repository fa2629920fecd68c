"""`explain`: why a recorded decision is what it is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from .options import FILE, json_option

if TYPE_CHECKING:
    from engine_opt.audit import AuditRecord
    from engine_opt.explanation import Explanation

_COLUMNS = ("record", "decision", "action", "status")


@click.command(
    short_help="Why a recorded decision is what it is.",
    epilog="\b\nExample:\n  python -m engine_opt explain decisions.jsonl",
)
@click.argument("log", type=FILE)
@click.argument("decision_id", required=False)
@click.option("--list", "listed", is_flag=True, help="List the decisions of the log instead.")
@json_option
def explain(log: Path, decision_id: str | None, listed: bool, as_json: bool) -> None:
    """Print why a decision of an audit LOG is what it is: DECISION_ID's, or the last one's.

    Of a decision that was settled later, or has been recorded again, the last is meant.
    """
    from .logs import recorded_in
    from .show import print_json, print_table, print_tree

    if listed:
        if decision_id is not None:
            raise click.UsageError("--list is for all decisions: leave the DECISION_ID out")
        with recorded_in(log) as records:
            rows = [_row(each) for each in _decisions(records)]
        if as_json:
            print_json([dict(zip(_COLUMNS, row, strict=True)) for row in rows])
        else:
            print_table(_COLUMNS, rows, right=("record",))
        return
    with recorded_in(log) as records:
        tree = _explained(_decisions(records), decision_id)
    if as_json:
        print_json(tree.plain())
    else:
        print_tree(tree)


class _Recorded(NamedTuple):
    """A decision of a log, and the configuration it was made with, both as they were recorded."""

    sequence: int
    decision: Mapping[str, Any]
    config: object


def _decisions(records: Iterable[AuditRecord]) -> Iterator[_Recorded]:
    """Yield the decisions among the records. Raises StateError where one is no decision."""
    from engine_opt.errors import StateError

    config: object = None
    for record in records:
        if record.kind == "config":
            config = record.payload.get("config")
        elif record.kind in ("decision", "settled"):
            decision = record.payload.get("decision")
            if not isinstance(decision, Mapping):
                raise StateError(f"record {record.sequence} ({record.kind}) has no decision: it is damaged")
            yield _Recorded(record.sequence, decision, config)


def _row(recorded: _Recorded) -> tuple[int, str, str, str]:
    decision_id, action, status = (str(recorded.decision.get(name)) for name in ("decision_id", "action", "status"))
    return recorded.sequence, decision_id, action, status


def _explained(decisions: Iterable[_Recorded], decision_id: str | None) -> Explanation:
    """Return the explanation of the last decision that has this id. Raises EngineError."""
    from engine_opt.config import EngineConfig
    from engine_opt.errors import StateError
    from engine_opt.explanation import explain as why
    from engine_opt.model import EngineDecision
    from engine_opt.plain import load

    found = None
    for each in decisions:
        if decision_id is None or each.decision.get("decision_id") == decision_id:
            found = each
    if found is None:
        which = "" if decision_id is None else f" {decision_id!r}; --list shows those there are"
        raise StateError(f"there is no decision{which}")
    decision, problems = load(EngineDecision, found.decision)
    if decision is None:
        raise StateError(f"record {found.sequence} does not hold a decision: {problems[0]}")
    config = EngineConfig.from_plain(found.config, f"the configuration before record {found.sequence}")
    return why(decision, config.market)
