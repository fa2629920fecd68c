"""What the engine costs, from the baselines in this repository: the table of performance.md.

    python docs/engine/figures.py [FOLDER OF BASELINES]

`pytest --pe-perf tests/perf && pe-perf update` measures them on your machine.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

BASELINES = Path(__file__).parents[2] / "baselines"
# What the engine does, by the test that does it, and the test in which the plain engine does the same.
ROWS = {
    "a decision, all five components": (
        "test_protocol_engine.py::test_decide",
        "test_protocol_engine.py::test_decide_plainly",
    ),
    "a bar and its decision": ("test_protocol_engine.py::test_a_bar_and_its_decision", ""),
    "a decision, with its record for an audit": ("test_protocol_engine.py::test_decide_with_a_record_of_it", ""),
    "the published workflow (flat market)": ("test_protocol_engine.py::test_the_published_workflow", ""),
    "310 bars and 50 decisions": ("test_protocol_engine.py::test_decide_a_year", ""),
    "classify a week": ("test_week_classifier.py::test_classify_one_week", "test_reference.py::test_classify_one_week"),
    "analyse the market of a day": (
        "test_market_condition.py::test_analysis_of_the_day",
        "test_reference.py::test_analysis_of_the_day",
    ),
    "reading and adjustment of a day": (
        "test_atr_adjustment.py::test_reading_and_adjustment",
        "test_reference.py::test_reading_and_adjustment",
    ),
    "all rules of a trade": (
        "test_trading_rules.py::test_judge_one_decision",
        "test_trading_rules.py::test_judge_one_decision_plainly",
    ),
    "trust: who has the last word": (
        "test_hitl_trust.py::test_assess_at_another_moment",
        "test_hitl_trust.py::test_assess_from_the_whole_past",
    ),
    "trust: an outcome": ("test_hitl_trust.py::test_record", ""),
    "batch: 10,000 weeks classified": ("test_batch.py::test_classify_ten_thousand_weeks", ""),
    "batch: the market of 13 years, 3,270 days": ("test_batch.py::test_analyse_thirteen_years", ""),
    "batch: the same without VIX": ("test_batch.py::test_analyse_thirteen_years_without_vix", ""),
    "batch: readings and adjustments of 13 years": ("test_batch.py::test_measure_and_adjust_thirteen_years", ""),
}


def read(folder: Path) -> dict[tuple[str, str], float]:
    """Return every accepted value by test and metric."""
    found = {}
    for path in sorted(folder.rglob("*.json")):
        content = json.loads(path.read_text("utf-8"))
        module = Path(content["module"]).name
        for row in content["rows"]:
            name = f"{module}::{row['test']}" + (f"[{row['name']}]" if row.get("name") else "")
            found[name, row["metric"]] = row["value"]
    return found


def _count(value: float | None) -> str:
    return "" if value is None else f"{value:,.0f}"


def main(folder: Path) -> None:
    """Print the table as Markdown."""
    values = read(folder)
    print("| what | time | allocations | peak, B | kept, B | the plain engine |")
    print("| --- | --- | --- | --- | --- | --- |")
    for what, (test, plain) in ROWS.items():
        seconds = values.get((test, "latency"))
        if seconds is None:
            continue
        before = values.get((plain, "latency"))
        slower = "" if before is None else f"{before * 1e6:,.0f} µs, {before / seconds:.0f} times"
        counts = [_count(values.get((test, metric))) for metric in ("allocations", "peak", "retained")]
        print(f"| {what} | {seconds * 1e6:,.1f} µs | {' | '.join(counts)} | {slower} |")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else BASELINES)
