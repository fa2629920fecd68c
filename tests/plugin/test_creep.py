"""A slow creep: every step is allowed or accepted with a reason, and what they make together is said all the same."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_pe_perf.baseline.store import load
from pytest_pe_perf.cli import main
from pytest_pe_perf.judge.gate import gate
from pytest_pe_perf.model import RUN_FORMAT, Environment, Key, Row, Run, Sample
from pytest_pe_perf.runfile import write_run

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
PEAK = Key("tests/perf/test_x.py::test_a", "", "peak")


class Story:
    """A project whose runs are made up, and the command line by which they are accepted."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.monkeypatch = monkeypatch
        self.capsys = capsys

    def runs(self, value: float, source: str = "abc") -> str:
        """Let the last run be one of this peak, and return its verdict with the reason."""
        row = Row(PEAK, (Sample(value, 1, 1),) * 3, source, 0.10, 0.05)
        run = Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, {}, (row,))
        report = gate(run, load(self.folder / "baselines", HERE))
        write_run(self.folder / ".pe-perf/run.json", run, report)
        return f"{report.judgements[0].verdict}: {report.judgements[0].reason}"

    def update(self, *options: str, status: int = 0) -> str:
        """Run ``pe-perf update``, check its exit status, and return what it printed."""
        self.monkeypatch.setattr("sys.argv", ["pe-perf", "update", *options])
        with pytest.raises(SystemExit) as end:
            main()
        printed = "".join(self.capsys.readouterr())
        assert (end.value.code or 0) == status, printed
        return printed

    def row(self) -> dict[str, object]:
        """Return the row as it stands in the file."""
        (path,) = self.folder.glob("baselines/*/*.json")
        (row,) = json.loads(path.read_text())["rows"]
        return {name: row.get(name) for name in ("value", "anchor", "reason")}


@pytest.fixture
def story(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Story:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    made = Story(tmp_path, monkeypatch, capsys)
    made.runs(100_000)
    made.update()
    return made


def test_ten_steps_of_three_per_cent(story: Story) -> None:
    """Each needs a reason and none moves the anchor, until all of them are beyond the threshold: then the run says so."""
    value, anchor, said = 100_000, 100_000, []
    for step in range(1, 11):
        value = value * 103 // 100
        verdict = story.runs(value)
        assert verdict.startswith("regressed")
        if "since its anchor" in verdict:
            assert f"+{100 * value / anchor - 100:.1f} % since its anchor" in verdict
            said.append(step)
        assert "[pe-perf: reason-needed]" in story.update(status=2)
        shown = story.update("--reason", f"step {step}")
        assert ("since its anchor" in shown) == (step not in (1, 5, 9))
        if step in said:
            anchor = value
        expected = {"value": value, "anchor": None if anchor == value else anchor, "reason": f"step {step}"}
        assert story.row() == expected
    assert said == [4, 8]


def test_a_step_that_is_within_the_margin_is_a_creep_too(story: Story) -> None:
    """Nothing else got worse than by what may be ignored, and the row is red all the same; a reason begins anew."""
    story.runs(109_200)
    story.update("--reason", "keeps an index")
    assert story.row()["anchor"] == 100_000
    assert story.runs(109_900).startswith("unchanged")
    verdict = story.runs(110_200)
    assert verdict.startswith("regressed: +10.2 % since its anchor (97.7 KiB), beyond +10.0 % in 3 processes: a creep")
    assert "against its baseline unchanged" in verdict
    story.update(status=2)
    story.update("--reason", "keeps two")
    assert story.row() == {"value": 110_200, "anchor": None, "reason": "keeps two"}
    assert story.runs(110_200) == "unchanged: equal"


def test_a_benchmark_that_changes_each_time_creeps_too(story: Story) -> None:
    """Rows that could not be compared are accepted without a reason, as far as the anchor lets them go."""
    value = 100_000
    for step in range(1, 11):
        value = value * 1009 // 1000
        assert story.runs(value, f"source {step}").startswith("not comparable")
        story.update()
        assert story.row() == {"value": value, "anchor": 100_000, "reason": None}
    story.runs(110_300, "another source")
    assert "+10.3 % since its anchor" in story.update("--dry-run")
    story.update(status=2)
    assert story.row()["value"] == value


def test_an_improvement_takes_the_anchor_along(story: Story) -> None:
    """What got better must be kept: from there the creep is measured."""
    story.runs(106_000)
    story.update("--reason", "keeps an index")
    story.runs(103_000)
    story.update()
    assert story.row() == {"value": 103_000, "anchor": 100_000, "reason": None}
    story.runs(90_000)
    story.update()
    assert story.row() == {"value": 90_000, "anchor": None, "reason": None}
    assert story.runs(90_000) == "unchanged: equal"


def test_an_accepted_update_of_the_same_numbers_changes_no_byte(story: Story) -> None:
    """A row with an anchor is left as it is by a run that is as good."""
    story.runs(105_000)
    story.update("--reason", "keeps an index")
    (path,) = story.folder.glob("baselines/*/*.json")
    before = path.read_bytes()
    story.runs(105_500)
    assert story.update().endswith("Nothing to do.\n")
    assert path.read_bytes() == before
