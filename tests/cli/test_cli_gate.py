"""`pe-perf gate`: what a file from elsewhere says is judged by a commit that its writer cannot change."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from pytest_pe_perf.baseline.store import save
from pytest_pe_perf.judge.packed import pack
from pytest_pe_perf.model import (
    RUN_FORMAT,
    BaselineRow,
    Block,
    Budget,
    Environment,
    Judgement,
    Key,
    PairedRow,
    Pairs,
    Restart,
    Row,
    Run,
    Sample,
    Settled,
    Shard,
    Turn,
    Unread,
    Verdict,
)
from pytest_pe_perf.rejudge import gate_of
from pytest_pe_perf.runfile import encode

from .conftest import Call, Said, git

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
SLOW, FLAT, WIDE = (f"tests/test_x.py::test_{name}" for name in ("slow", "flat", "wide"))
TESTS = """
import pytest

@pytest.mark.pe_latency(margin="50 %", max_latency="1 ms")
def test_wide(pe_latency): ...

def test_slow(pe_latency): ...
"""
SETTINGS = '[tool.pe_perf]\nthreshold = "10 %"\nmargin = "5 %"\n'
ENTRY = '[[tool.pe_perf.accept]]\ntest = "{}"\nmetric = "latency"\nceiling = 1.5\nreason = "exact"\nexpires = {}\n'


def commit(folder: Path, message: str) -> str:
    git(folder, "add", "--all")
    git(folder, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(folder, "rev-parse", "HEAD")


@dataclass(frozen=True)
class Repository:
    """A main that has moved on since a topic left it, and what the topic changed in its own favour."""

    folder: Path
    left: str
    tip: str
    topic: str


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    folder = tmp_path_factory.mktemp("repository")
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pyproject.toml").write_text(SETTINGS)
    accepted = [BaselineRow(Key(test, "", "latency"), 1.0, "s", 0.1, 0.01) for test in (SLOW, FLAT)]
    save(folder / "baselines", HERE, {"tests/test_x.py": accepted})
    (folder / "tests").mkdir()
    (folder / "tests/test_x.py").write_text(TESTS)
    left = commit(folder, "start")
    git(folder, "branch", "topic")
    (folder / "file").touch()
    tip = commit(folder, "more")
    git(folder, "switch", "--quiet", "topic")
    (folder / "pyproject.toml").write_text(
        '[tool.pe_perf]\nthreshold = "900 %"\nmargin = "800 %"\n' + ENTRY.format(SLOW, "2999-01-01")
    )
    save(folder / "baselines", HERE, {"tests/test_x.py": [replace(row, value=2.0) for row in accepted]})
    (folder / "tests/test_x.py").write_text(TESTS.replace(', max_latency="1 ms"', "").replace("50 %", "90 %"))
    return Repository(folder, left, tip, commit(folder, "in my favour"))


Gate = Callable[..., Said]


@pytest.fixture
def gate(repository: Repository, tmp_path: Path, call: Call) -> Gate:
    """Return a function that judges a run, or what stands in a file, in the checkout of the topic."""

    def judge(run: Run | bytes | str, *arguments: str, ref: str = "main") -> Said:
        path = tmp_path / "run.json"
        if isinstance(run, Run):
            report = gate_of(replace(run, context={}), {}) if not run.pairs else gate_of(run, {})
            path.write_bytes(encode(run, report))
        else:
            path.write_bytes(run.encode() if isinstance(run, str) else run)
        said = call(repository.folder, "gate", str(path), "--from-ref", ref, *arguments)
        assert said.narrow or {"--json", "--format"} & set(arguments)
        return said

    return judge


def restarts(*ratios: float, level: float = 1e-3) -> tuple[Restart, ...]:
    def side(low: float) -> tuple[Turn, ...]:
        return (Turn(low, 0.9 * low), Turn(low, 0.9 * low))

    return tuple(Restart((Block(side(level), side(level * ratio)),) * 3) for ratio in ratios)


def paired(test: str, ratio: float, name: str = "", margin: float = 0.01, threshold: float = 0.05) -> PairedRow:
    confirm = restarts(*[ratio] * 6) if abs(ratio - 1) > margin else ()
    return PairedRow(Key(test, name, "latency"), "s", threshold, margin, restarts(*[ratio] * 4), confirm)


def part(*rows: PairedRow, **more: object) -> Pairs:
    singing = paired("(canary)", 1.0, "same"), paired("(canary)", 1.05, "planted")
    return Pairs(tuple(map(pack, rows)), tuple(map(pack, singing)), **more)  # type: ignore[arg-type]


def in_pairs(repository: Repository, *parts: Pairs, **context: str) -> Run:
    facts = {"against": "main", "base": repository.left, "commit": repository.topic, "dirty": "no", **context}
    return Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, facts, (), pairs=parts)


def stored(repository: Repository, *rows: Row, **context: str) -> Run:
    facts = {"commit": repository.topic, "dirty": "no", **context}
    return Run(RUN_FORMAT, "2026-01-01T00:00:00+00:00", HERE, facts, rows)


def latency(test: str, *values: float, margin: float = 0.05, threshold: float = 0.10) -> Row:
    samples = tuple(Sample(value, 99, 1, (), 0.1) for value in values)
    return Row(Key(test, "", "latency"), samples, "s", threshold, margin)


GOOD, BAD = part(paired(FLAT, 1.0)), part(paired(SLOW, 1.2), paired(FLAT, 1.0))


# --- passed and regressed -------------------------------------------------------------------------------------------


def test_a_run_without_a_change_passes(repository: Repository, gate: Gate) -> None:
    """Exit status 0, also under strict, with the verdict of every row in JSON."""
    done = gate(in_pairs(repository, GOOD), "--strict", "--json", "--head", repository.topic)
    assert done.status == 0, done.out
    assert done.verdicts() == {FLAT: "unchanged"}
    content = json.loads(done.out)
    assert (content["status"], content["base"], content["doubts"]) == (0, repository.tip, [])


def test_a_regression_fails_whatever_the_file_and_the_change_say(repository: Repository, gate: Gate) -> None:
    """The topic accepts it, widens the limits and writes "unchanged" into the file; main does not."""
    data = encode(in_pairs(repository, BAD), gate_of(in_pairs(repository, BAD), {}))
    assert data.count(b'"regressed"') == 1
    done = gate(data.replace(b'"regressed"', b'"unchanged"'))
    assert done.status == 1, done.out
    assert "REGRESSED" in done.out
    assert "+20.0 %" in done.out
    assert "could not tell" not in done.out


def test_what_base_accepts_is_accepted(repository: Repository, gate: Gate) -> None:
    """An entry on the ref that judges lets a regression pass until its last day."""
    git(repository.folder, "worktree", "add", "--quiet", "--detach", "../accepting", "main")
    place = repository.folder.parent / "accepting"
    for day, status, verdict in (("2999-01-01", 0, "accepted"), ("2020-01-01", 1, "regressed")):
        (place / "pyproject.toml").write_text(SETTINGS + ENTRY.format(SLOW, day))
        git(place, "tag", f"until-{day}", commit(place, day))
        done = gate(in_pairs(repository, BAD), "--json", ref=f"until-{day}")
        assert (done.status, done.verdicts()[SLOW]) == (status, verdict)


def test_a_run_against_a_baseline_is_held_against_the_one_of_base(repository: Repository, gate: Gate) -> None:
    """The topic's baseline is twice as slow; main's is not, and it is main's that judges."""
    run = stored(repository, latency(SLOW, *[2.0] * 5), latency(FLAT, 1.0))
    done = gate(run, "--json")
    assert done.status == 1
    assert done.verdicts() == {SLOW: "regressed", FLAT: "unchanged"}


def test_a_row_that_was_left_out_is_missing(repository: Repository, gate: Gate) -> None:
    """Whatever the file says was complete: what base has accepted and the run lacks is named, and strict lets it not pass."""
    run = stored(repository, latency(FLAT, 1.0))
    done = gate(run, "--json")
    assert (done.status, done.verdicts()) == (0, {SLOW: "missing", FLAT: "unchanged"})
    assert gate(run, "--strict").status == 3


def test_what_the_writer_says_was_settled_is_not_believed(repository: Repository, gate: Gate) -> None:
    """A verdict in the file that dispels a suspicion is no reading."""
    run = stored(repository, latency(SLOW, *[2.0] * 5), latency(FLAT, 1.0))
    base = BaselineRow(Key(SLOW, "", "latency"), 1.0, "s", 0.1, 0.01)
    settled = Settled(Judgement(base.key, Verdict.UNCHANGED, "trust me", 1.0), base)
    done = gate(replace(run, settled=(settled,)))
    assert done.status == 1, done.out
    assert "1 row settled beside a commit where they were measured: not believed here" in " ".join(done.out.split())


# --- never vacuous --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "arguments", "word"),
    [
        (lambda r: in_pairs(r, part()), (), "nothing was compared"),
        (
            lambda r: in_pairs(r, part(unread=(Unread(Key(SLOW, "", "latency"), Verdict.NEW, "new"),))),
            (),
            "nothing was",
        ),
        (lambda r: in_pairs(r, GOOD, base=r.tip), (), "left main"),
        (lambda r: in_pairs(r, GOOD, base="(none)"), (), "against a commit that it does not name"),
        (lambda r: in_pairs(r, GOOD, commit="1" * 40), (), "not in this clone"),
        (lambda r: in_pairs(r, GOOD, commit=""), (), "it names no commit"),
        (lambda r: in_pairs(r, GOOD, commit=r.left), (), "is the base itself"),
        (lambda r: in_pairs(r, replace(GOOD, identical=True)), (), "have the same code"),
        (lambda r: replace(in_pairs(r, GOOD), shard=Shard(2, 5, "", 9, {})), (), "it is shard 2 of 5"),
        (lambda r: in_pairs(r, GOOD, commit=r.left), ("--head", "topic"), "and not topic"),
        (lambda r: in_pairs(r, GOOD, dirty="yes"), ("--head", "topic"), "is not what topic holds"),
        (lambda r: stored(r, latency("tests/test_y.py::test_y", 1.0)), (), "nothing was compared"),
        (lambda r: stored(r, latency(FLAT, 1.0), commit=r.tip), (), "is the base itself"),
        (lambda r: replace(stored(r, latency(FLAT, 1.0)), environment=replace(HERE, cores=64)), (), "no baseline of"),
    ],
)
def test_what_proves_nothing_is_never_passed(
    repository: Repository, gate: Gate, make: Callable[[Repository], Run], arguments: tuple[str, ...], word: str
) -> None:
    """Exit status 3, and a sentence that says why nobody can tell."""
    done = gate(make(repository), *arguments)
    assert done.status == 3, done.out
    assert "could not tell: " in done.out
    assert word in " ".join(done.out.split())


def test_a_failure_is_one_even_where_something_else_is_in_doubt(repository: Repository, gate: Gate) -> None:
    """A regression against another base than the one that was asked for is no pass, and no mere doubt."""
    done = gate(in_pairs(repository, BAD, base=repository.tip))
    assert (done.status, "could not tell" in done.out) == (1, True)


def test_the_very_commit_that_was_asked_for_needs_no_head(repository: Repository, gate: Gate) -> None:
    """Where the clone lacks the commit that was measured, the base itself is still known."""
    run = in_pairs(repository, GOOD, commit="1" * 40)
    assert gate(run, ref=repository.left).status == 0


@pytest.mark.parametrize("where", ["option", "base"])
def test_strict_lets_nothing_undecided_pass(repository: Repository, gate: Gate, where: str) -> None:
    """A row that could not be judged is nothing by default, and keeps a strict gate from passing."""
    run = in_pairs(repository, replace(GOOD, unread=(Unread(Key(SLOW, "", "latency"), Verdict.INCONCLUSIVE, "busy"),)))
    assert gate(run).status == 0
    if where == "option":
        done = gate(run, "--strict")
    else:
        git(repository.folder, "worktree", "add", "--quiet", "--detach", "../strict", repository.left)
        place = repository.folder.parent / "strict"
        (place / "pyproject.toml").write_text(f"{SETTINGS}strict = true\n")
        git(place, "tag", "strict", commit(place, "strict"))
        run = replace(run, context={**run.context, "base": repository.left})
        done = gate(run, ref="strict")
    assert done.status == 3
    assert "1 undecided under strict" in done.out


# --- in other formats -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["terminal", "markdown", "annotations", "junit", "sarif", "gitlab", "html"])
def test_every_format_of_a_report_says_what_base_says(
    repository: Repository, gate: Gate, tmp_path: Path, name: str
) -> None:
    """Into a file, beside the answer on the terminal, and with its exit status; a page has no past but this run."""
    done = gate(in_pairs(repository, BAD), "--format", name, "--output", str(tmp_path / "out"))
    assert (done.status, done.err) == (1, f"wrote {tmp_path / 'out'}\n")
    assert "REGRESSED" in done.out
    text = (tmp_path / "out").read_text(encoding="utf-8")
    assert "test_slow" in text
    assert "+20.0 %" in text.replace("\N{NO-BREAK SPACE}", " ").replace("%25", "%")


def test_what_is_printed_is_one_thing(repository: Repository, gate: Gate) -> None:
    """A format without a file is printed instead of the answer, JSON beside files; both together is an error."""
    run = in_pairs(repository, GOOD)
    assert gate(run, "--format", "badge").out.endswith('"message": "nothing got worse", "color": "brightgreen"}\n')
    done = gate(run, "--format", "terminal")
    assert (done.status, done.out) == (0, gate(run).out)
    refused = gate(run, "--json", "--format", "markdown")
    assert (refused.status, "--json is printed, and so is" in refused.err) == (2, True)


def test_a_comment_says_why_nobody_can_tell(repository: Repository, gate: Gate) -> None:
    """Where the run proves nothing the comment is no green line, and ends with the reason."""
    done = gate(in_pairs(repository, GOOD), "--head", "main", "--format", "markdown")
    _, line, *_ = done.out.split("\n")
    assert (done.status, line[:1]) == (3, "◇")
    assert f"could not tell: it measured {repository.topic[:10]}, and not main ({repository.tip[:10]})" in line


def test_a_file_for_a_terminal_has_the_reasons_too(repository: Repository, gate: Gate, tmp_path: Path) -> None:
    """It is what is printed, whatever the width of the terminal."""
    file = tmp_path / "verdict.txt"
    done = gate(in_pairs(repository, GOOD), "--head", "main", "--format", "terminal", "--output", str(file))
    assert file.read_text(encoding="utf-8").split() == done.out.split()
    assert "could not tell: it measured" in done.words


def test_a_page_says_why_nobody_can_tell(repository: Repository, gate: Gate, tmp_path: Path) -> None:
    """Above everything else."""
    page = tmp_path / "page.html"
    assert gate(in_pairs(repository, GOOD), "--head", "main", "--format", "html", "--output", str(page)).status == 3
    text = page.read_text(encoding="utf-8")
    assert "Nobody can tell whether anything got worse" in text
    assert f"Why: it measured {repository.topic[:10]}, and not main" in text


def test_nothing_is_written_of_what_is_refused(repository: Repository, gate: Gate, tmp_path: Path) -> None:
    """One message and exit status 2; a file that somebody might post is not there."""
    done = gate(
        forged(repository, '"calls":1', '"calls":0'), "--format", "markdown", "--output", str(tmp_path / "comment.md")
    )
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)
    assert not (tmp_path / "comment.md").exists()


# --- wider limits ---------------------------------------------------------------------------------------------------


def test_a_row_that_passes_by_its_own_limits_alone_is_doubtful(repository: Repository, gate: Gate) -> None:
    """A margin that the change may have widened decides nothing; what passes by both, or by neither, is decided."""
    rows = [paired(SLOW, 1.2, margin=0.5, threshold=0.5), paired(FLAT, 1.0, margin=0.5, threshold=0.5)]
    rows[0] = replace(rows[0], confirm=restarts(*[1.2] * 6))
    done = gate(in_pairs(repository, part(*rows)), "--json")
    assert done.status == 3
    assert done.verdicts() == {SLOW: "inconclusive", FLAT: "unchanged"}
    reason = json.loads(done.out)["judgements"][0]["reason"]
    assert "regressed by the limits of base" in reason
    assert "unchanged by its own alone (margin +50.0 %, threshold +50.0 %)" in reason
    assert gate(in_pairs(repository, part(rows[1]))).status == 0
    worse = replace(rows[0], screen=restarts(*[1.9] * 4), confirm=restarts(*[1.9] * 6))
    assert gate(in_pairs(repository, part(worse, rows[1]))).status == 1


def test_the_same_of_a_run_against_a_baseline(repository: Repository, gate: Gate) -> None:
    """Against a baseline too, base's limits are the ceiling."""
    run = stored(
        repository, latency(SLOW, *[1.5] * 5, margin=0.8, threshold=0.9), latency(FLAT, 1.0, margin=0.8, threshold=0.9)
    )
    done = gate(run, "--json")
    assert done.status == 3
    assert done.verdicts() == {SLOW: "inconclusive", FLAT: "unchanged"}


def test_a_run_that_looked_for_something_larger_saw_too_little(repository: Repository, gate: Gate) -> None:
    """Its planted change was that of its own threshold: that it was seen is no sign of sight for base's."""
    singing = tuple(replace(row, threshold=0.5) for row in GOOD.canaries)
    done = gate(in_pairs(repository, replace(GOOD, canaries=singing)))
    assert done.status == 3
    assert "it planted +50.0 % to see" in " ".join(done.out.split())


def test_limits_that_a_marker_of_base_gives_are_believed(repository: Repository, gate: Gate) -> None:
    """What stands in so many words in base's file of tests is as good as its settings: margins and budgets."""
    row = replace(paired(WIDE, 1.2, margin=0.5, threshold=0.5), confirm=restarts(*[1.2] * 6))
    fast = replace(row, screen=restarts(*[1.2] * 4, level=1e-4), confirm=restarts(*[1.2] * 6, level=1e-4))
    assert gate(in_pairs(repository, part(fast))).status == 0
    done = gate(in_pairs(repository, part(row)), "--json")
    assert (done.status, done.verdicts()) == (3, {WIDE: "inconclusive"})
    assert "1.08 ms, limit max_latency='1 ms'" in json.loads(done.out)["judgements"][0]["reason"]
    assert gate(in_pairs(repository, part(replace(row, budget=Budget(1e-3, "1 ms"))))).status == 1


# --- what is no run -------------------------------------------------------------------------------------------------


def forged(repository: Repository, old: str, new: str) -> str:
    run = replace(in_pairs(repository, BAD), rows=(replace(latency(FLAT, 1.0), budget=Budget(1.0, "1 s")),))
    text = encode(run, gate_of(run, {})).decode()
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ('"calls":1', '"calls":0', "number of calls"),
        ('"calls":1', '"calls":1e400', "not a run file"),
        ('"calls":1', '"calls":true', "not a run file"),
        ('"base":[[0.001', '"base":[[-0.001', "anybody can have measured"),
        ('"base":[[0.001', '"base":[[NaN', "not a run file"),
        ('"base":[[0.001', '"base":[[1e999', "not a run file"),
        ('"base":[[0.001', '"base":[["0.001"', "not a run file"),
        ('"base":[[0.001,', '"base":[[', "no whole turns"),
        ('"value": 1.0', '"value": -1.0', "anybody can have measured"),
        ('"count": 99', '"count": -1', "number of readings"),
        ('"limit": 1.0', '"limit": -1.0', "which no setting gives"),
        ('"started": "2026', '"started": "yester', "not a run file"),
        ('"latency"', '"\\u001b[31mspeed"', r"unknown metric '\x1b[31mspeed'"),
        ('"format": 1', '"format": 99', "newer than"),
        ('"cores": 2', '"cores": "2"', "not a run file"),
        ('"context": {', '"context": {"deep": ' + "[" * 100_000 + "]" * 100_000 + ",", "not a run file"),
        ('"pairs": [', '"pairs": [{"rows": 5}, ', "not a run file"),
    ],
)
def test_a_forged_number_is_refused(repository: Repository, gate: Gate, old: str, new: str, word: str) -> None:
    """Exit status 2 and one clear sentence, in which nothing moves the cursor."""
    done = gate(forged(repository, old, new))
    assert (done.status, done.out) == (2, "")
    assert word in done.err
    assert "\x1b" not in done.err


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b'{"run": {"format": 1}}', b"[" * 10_000])
def test_what_is_no_run_at_all(gate: Gate, data: bytes) -> None:
    """Exit status 2, and what makes a run file."""
    done = gate(data)
    assert done.status == 2
    assert "make one with: pytest --pe-perf" in done.err


def test_a_file_that_is_too_large_is_not_read(gate: Gate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's memory is filled by what a stranger has written."""
    monkeypatch.setattr("pytest_pe_perf.runfile.LARGEST", 1024 * 1024)
    done = gate(b" " * (1024 * 1024 + 1))
    assert (done.status, "is larger than 1 MiB" in done.err) == (2, True)


def test_a_file_of_an_older_version_cannot_be_judged(repository: Repository, gate: Gate) -> None:
    """Without the readings of its pairs a run is no ground for a verdict."""
    run = in_pairs(repository, GOOD)
    content = json.loads(encode(run, gate_of(run, {})))
    del content["run"]["pairs"]
    done = gate(json.dumps(content))
    assert done.status == 2
    assert "cannot be judged again" in done.err


def test_names_do_no_harm(repository: Repository, gate: Gate) -> None:
    """A name that would move the cursor or turn the line around is spelled out."""
    name = "tests/test_x.py::test_\x1b[2J\u202e\ud7ff" + "x" * 300
    done = gate(in_pairs(repository, part(paired(name, 1.2))))
    assert done.status == 1
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out


def test_no_such_ref(repository: Repository, gate: Gate) -> None:
    """A ref that git does not know is an error."""
    done = gate(in_pairs(repository, GOOD), ref="nowhere")
    assert (done.status, "no commit that this clone knows" in done.err) == (2, True)


def test_settings_of_base_that_cannot_be_read(repository: Repository, gate: Gate) -> None:
    """A file of base that cannot be trusted is named, with its commit."""
    git(repository.folder, "worktree", "add", "--quiet", "--detach", "../broken", repository.left)
    place = repository.folder.parent / "broken"
    (place / "pyproject.toml").write_text("[tool.pe_perf]\nmargin = 5\n")
    git(place, "tag", "bad-settings", commit(place, "bad settings"))
    (place / "pyproject.toml").write_text(SETTINGS)
    (place / "baselines" / HERE.slug / "tests__test_x.json").write_text("<<<<<<< HEAD\n")
    git(place, "tag", "bad-baseline", commit(place, "bad baseline"))
    assert "pyproject.toml of bad-settings" in gate(in_pairs(repository, GOOD), ref="bad-settings").err
    done = gate(stored(repository, latency(FLAT, 1.0)), ref="bad-baseline")
    assert (done.status, "baselines/" in done.err, "bad-baseline" in done.err) == (2, True, True)
