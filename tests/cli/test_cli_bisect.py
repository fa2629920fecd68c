from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import psutil
import pytest

from pytest_pe_perf.cli.bisect import Pairs, decide
from pytest_pe_perf.errors import BaseError
from pytest_pe_perf.measure.janitor import workspace
from pytest_pe_perf.measure.paired.bisect import Answer, Finding, Step, find_first_bad, resolve

pytestmark = pytest.mark.skipif(os.name != "posix", reason="commits are measured side by side, which needs POSIX")

COMMITS = 14
TEST = "tests/test_x.py::test_a"


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(project: Path, message: str) -> str:
    git(project, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(project, "rev-parse", "HEAD")


def isolate(patch: pytest.MonkeyPatch, folder: Path) -> None:
    """Let git use settings in the folder instead of those of whoever runs the tests."""
    (folder / "gitconfig").write_text("[user]\nname = A Name\nemail = name@example.org\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        patch.delenv(name)
    patch.setenv("GIT_CONFIG_GLOBAL", str(folder / "gitconfig"))
    patch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch, tmp_path)


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder in which temporary files are made, by this process and by those it starts."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with commits "0" to "13", a file in the index and one that git does not know."""
    folder = tmp_path_factory.mktemp("template") / "project"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        isolate(patch, folder.parent)
        git(folder, "init", "--quiet", "--initial-branch=main")
        for number in range(COMMITS):
            (folder / "file").write_text(f"{number}\n")
            git(folder, "add", "file")
            commit(folder, f"{number}")
        (folder / "staged").touch()
        git(folder, "add", "staged")
    (folder / "unknown").touch()
    (folder / "file").write_text("changed\n")
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    """Return a copy of the template."""
    return shutil.copytree(template, tmp_path / "project")


@pytest.fixture
def hashes(project: Path) -> list[str]:
    return git(project, "rev-list", "--reverse", "HEAD").split()


def state(project: Path) -> dict[str, object]:
    """Return all of a repository that a bisection could touch; every file of it but the objects."""
    files = [path for path in (project / ".git").rglob("*") if path.is_file() and "objects" not in path.parts]
    return {
        "files": {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in files},
        "status": git(project, "--no-optional-locks", "status", "--porcelain=v2", "--branch"),
        "refs": git(project, "for-each-ref"),
        "worktrees": git(project, "worktree", "list"),
        "objects": sorted(path for path in (project / ".git" / "objects").rglob("*")),
    }


class Fake:
    """A measure that knows the answers: bad from a commit on, and commits that cannot be measured."""

    def __init__(self, hashes: list[str], first_bad: int, skips: Iterable[int] = ()) -> None:
        self.hashes, self.first_bad, self.skips = hashes, first_bad, set(skips)
        self.asked: list[int] = []
        self.steps: list[Step] = []

    def __call__(self, commit: str) -> Answer:
        number = self.hashes.index(commit)
        self.asked.append(number)
        return "skip" if number in self.skips else "bad" if number >= self.first_bad else "good"

    def find(self, project: Path, good: int = 0, bad: int = -1) -> Finding:
        return find_first_bad(project, self.hashes[good], self.hashes[bad], self, told=self.steps.append)


def subjects(found: Finding) -> list[str]:
    return [commit.subject for commit in found.candidates]


@pytest.mark.parametrize("first_bad", range(1, COMMITS))
def test_finds_it(project: Path, hashes: list[str], first_bad: int) -> None:
    """Whichever commit is the first bad one, it is found in few steps, none of which is measured twice."""
    fake = Fake(hashes, first_bad)
    found = fake.find(project)
    assert found.first_bad is not None
    assert (found.first_bad.hash, found.first_bad.subject) == (hashes[first_bad], str(first_bad))
    assert found.first_bad.author == "A Name"
    assert found.first_bad.date == git(project, "log", "-1", "--format=%aI", hashes[first_bad])
    assert fake.asked[0] == COMMITS - 1
    assert len(set(fake.asked)) == len(fake.asked) <= 5
    assert [step.commit.hash for step in fake.steps] == [hashes[number] for number in fake.asked]
    assert fake.steps[-1].left == 0
    assert [step.left for step in fake.steps] == sorted((step.left for step in fake.steps), reverse=True)


def test_the_users_repository_is_left_alone(project: Path, hashes: list[str], temporary: Path) -> None:
    """Neither checkout nor index, refs, work trees or a bisection of the user's own are touched."""
    git(project, "bisect", "start", hashes[9], hashes[1], "--no-checkout")
    before = state(project)
    assert subjects(Fake(hashes, 6, skips=[7]).find(project)) == ["6"]
    assert state(project) == before
    assert list(temporary.iterdir()) == []


def test_variables_of_a_git_hook(project: Path, hashes: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a hook's variables say that the repository is elsewhere, ours is found all the same."""
    monkeypatch.setenv("GIT_DIR", str(project.with_name("nowhere")))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.with_name("index")))
    assert resolve(project, f"{hashes[0]}..HEAD") == (hashes[0], hashes[-1])
    assert subjects(Fake(hashes, 6).find(project)) == ["6"]


def test_skipped_commits_beside(project: Path, hashes: list[str]) -> None:
    """Commits that cannot be measured do not matter where the first bad one and the one before it can."""
    fake = Fake(hashes, 10, skips=[4, 5, 6, 7, 8, 11])
    assert subjects(fake.find(project)) == ["10"]
    assert set(fake.asked) & fake.skips


def test_skipped_commits_in_between(project: Path, hashes: list[str]) -> None:
    """Where the commits before the first bad one cannot be measured, all that may be it are named, oldest first."""
    fake = Fake(hashes, 9, skips=[6, 7, 8])
    found = fake.find(project)
    assert found.first_bad is None
    assert found.at_bad == "bad"
    assert subjects(found) == ["6", "7", "8", "9"]
    assert fake.steps[-1].left == 0


def test_all_skipped(project: Path, hashes: list[str]) -> None:
    """Where nothing but the last commit can be measured, every commit may be it."""
    fake = Fake(hashes, 9, skips=range(1, COMMITS - 1))
    assert subjects(fake.find(project)) == [str(number) for number in range(1, COMMITS)]
    assert len(fake.asked) == COMMITS - 1


def test_one_commit(project: Path, hashes: list[str]) -> None:
    """Where only one commit can be it, that one is measured and no other."""
    fake = Fake(hashes, 3)
    assert subjects(fake.find(project, 2, 3)) == ["3"]
    assert fake.asked == [3]


@pytest.mark.parametrize(("skips", "at_bad"), [((), "good"), ([COMMITS - 1], "skip")])
def test_nothing_to_find(project: Path, hashes: list[str], skips: Iterable[int], at_bad: Answer) -> None:
    """Where the last commit is not worse, or nobody knows, nothing else is measured."""
    fake = Fake(hashes, COMMITS, skips)
    assert fake.find(project) == Finding(at_bad)
    assert fake.asked == [COMMITS - 1]
    assert [(step.answer, step.left) for step in fake.steps] == [(at_bad, 0)]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
@pytest.mark.parametrize("after", [0, 2])
def test_ctrl_c(project: Path, hashes: list[str], temporary: Path, error: type[BaseException], after: int) -> None:
    """Whatever ends a bisection, nothing of it stays."""
    before = state(project)
    fake = Fake(hashes, 6)

    def measure(commit: str) -> Answer:
        assert len(list(temporary.iterdir())) == 1
        if len(fake.asked) == after:
            raise error
        return fake(commit)

    with pytest.raises(error):
        find_first_bad(project, hashes[0], hashes[-1], measure)
    assert state(project) == before
    assert list(temporary.iterdir()) == []


def merged(project: Path) -> dict[str, str]:
    """Merge a branch with a commit "side" into main, put "after" on top, and return the hashes by subject."""
    git(project, "stash", "--quiet")
    git(project, "checkout", "--quiet", "-b", "branch", "HEAD~3")
    for subject in ("side", "side 2"):
        commit(project, subject)
    git(project, "checkout", "--quiet", "main")
    git(project, "merge", "--quiet", "--no-ff", "-m", "merge", "branch")
    commit(project, "after")
    return {line[41:]: line[:40] for line in git(project, "log", "--format=%H %s").splitlines()}


@pytest.mark.parametrize(("first_parent", "first"), [(False, "side"), (True, "merge")])
def test_first_parent(project: Path, first_parent: bool, first: str) -> None:
    """A commit of a merged branch is found; with first-parent, the merge that brought it."""
    known = merged(project)
    bad = {known[subject] for subject in ("side", "side 2", "merge", "after")}

    def measure(commit: str) -> Answer:
        return "bad" if commit in bad else "good"

    found = find_first_bad(project, known["5"], known["after"], measure, first_parent=first_parent)
    assert subjects(found) == [first]


def test_a_work_tree_beside_and_a_folder_below(project: Path, hashes: list[str]) -> None:
    """The project may be a linked work tree, and a folder below the top."""
    git(project, "worktree", "add", "--quiet", "--detach", "../be side")
    below = project.with_name("be side") / "below"
    below.mkdir()
    assert resolve(below, f"{hashes[0]}..main") == (hashes[0], hashes[-1])
    assert subjects(Fake(hashes, 6).find(below)) == ["6"]


def test_commits_without_a_ref(project: Path, hashes: list[str]) -> None:
    """Commits that no branch leads to any more are found too."""
    git(project, "reset", "--quiet", "--soft", "HEAD~10")
    assert subjects(Fake(hashes, 12).find(project)) == ["12"]


def test_a_commit_that_is_not_text(project: Path) -> None:
    """Names and subjects in other encodings, and in none, do no harm."""
    for encoding, subject in (("latin1", b"\xfcber"), ("none-of-these", b"\xff \x1b[31m")):
        git(
            project,
            "-c",
            f"i18n.commitEncoding={encoding}",
            "commit",
            "--quiet",
            "--allow-empty",
            "-m",
            os.fsdecode(subject),
        )
    *_, before, first, second = git(project, "rev-list", "--reverse", "HEAD").split()
    (found,) = find_first_bad(project, before, first, lambda _: "bad").candidates
    assert found.subject == "über"
    (found,) = find_first_bad(project, first, second, lambda _: "bad").candidates
    assert found.subject == "\ufffd \x1b[31m"


def test_a_shallow_clone(project: Path, hashes: list[str]) -> None:
    """What a shallow clone has can be bisected; what it has not is an error that says how to get it."""
    clone = project.with_name("clone")
    git(project, "clone", "--quiet", "--depth=8", project.as_uri(), str(clone))
    assert subjects(Fake(hashes, 10).find(clone, good=6)) == ["10"]
    with pytest.raises(BaseError, match="git fetch"):
        resolve(clone, f"{hashes[0]}..HEAD")


def test_sha256(tmp_path: Path) -> None:
    """The other kind of hashes works as well."""
    git(tmp_path, "init", "--quiet", "--object-format=sha256", "other")
    hashes = [commit(tmp_path / "other", str(number)) for number in range(5)]
    assert subjects(Fake(hashes, 3).find(tmp_path / "other")) == ["3"]


def test_ranges(project: Path, hashes: list[str]) -> None:
    """A range is what git takes for one."""
    git(project, "tag", "-a", "-m", "a tag", "v1", hashes[3])
    assert resolve(project, "v1..HEAD") == resolve(project, "v1..") == (hashes[3], hashes[-1])
    assert resolve(project, "HEAD~5..HEAD~2") == (hashes[-6], hashes[-3])


BAD_RANGES = [
    ("HEAD", "is not a range of commits"),
    ("..HEAD", "is not a range of commits"),
    ("HEAD~2...HEAD", "is not a range of commits"),
    ("HEAD~3..HEAD~2..HEAD", "is not a range of commits"),
    ("nowhere..HEAD", "'nowhere' names no commit"),
    ("HEAD~1..--all", "'--all' names no commit"),
    ("HEAD~1..HEAD:file", "'HEAD:file' names no commit"),
    ("HEAD..main", "there is nothing between them"),
    ("HEAD..HEAD~2", "HEAD is not an ancestor of HEAD~2"),
]


@pytest.mark.parametrize(("revisions", "seen"), BAD_RANGES)
def test_bad_ranges(project: Path, revisions: str, seen: str) -> None:
    """What is no range of commits is an error in words."""
    with pytest.raises(BaseError) as caught:
        resolve(project, revisions)
    assert seen in str(caught.value)


def pe_perf(project: Path, *arguments: str, status: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own and check its exit status."""
    done = subprocess.run(
        [sys.executable, "-c", "from pytest_pe_perf.cli import main; main()", *arguments],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environ},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == status, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        *(((revisions, TEST), seen) for revisions, seen in BAD_RANGES if not revisions.startswith("-")),
        ((), "Missing argument"),
        (("HEAD~2..HEAD",), "Missing argument"),
        (("HEAD~2..HEAD", ""), "is not a node id"),
        (("--", "HEAD~2..HEAD", "--pdb"), "is not a node id"),
        (("HEAD~2..HEAD", TEST, "--time", "4"), "is not a duration"),
        (("HEAD~2..HEAD", TEST, "--nonsense"), "No such option"),
    ],
)
def test_usage(project: Path, temporary: Path, arguments: tuple[str, ...], seen: str) -> None:
    """What cannot be meant is refused before anything is measured."""
    done = pe_perf(project, "bisect", *arguments, status=2)
    assert seen in done.stderr
    assert done.stdout == ""
    assert list(temporary.iterdir()) == []


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a repository, and without git, the message says so."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "not a git repository" in pe_perf(tmp_path, "bisect", "a..b", TEST, status=2).stderr
    done = pe_perf(tmp_path, "bisect", "a..b", TEST, status=2, PATH=str(tmp_path))
    assert "git cannot be started" in done.stderr


# Stands in for pytest: it writes the run file that the ratio of the commit's number asks for. What it is told is the
# command line that the verb promises to give.
PYTEST = """
import json, os, pathlib, subprocess, sys, time
options = dict(zip(sys.argv[1:], sys.argv[2:]))
commit, nodeid = options["--pe-perf-head"], sys.argv[-1]
pathlib.Path("told.txt").open("a").write(" ".join(sys.argv[1:]) + "\\n")
number = int(subprocess.run(["git", "log", "-1", "--format=%s", commit], capture_output=True).stdout)
if "gone" in nodeid:
    print("ERROR: not found:", nodeid)
    sys.exit(4)
if number == 8 and "hangs" in nodeid:
    pathlib.Path("hangs.tmp").write_text(str(os.getpid()))
    pathlib.Path("hangs.tmp").rename("hangs")
    try:
        time.sleep(600)
    finally:
        pathlib.Path("tidied").touch()
if number in (5, 6, 7) and "broken" in nodeid:
    print("1 error")
    sys.exit(1)
ratio = 1.25 if number >= 7 and "steady" not in nodeid else 1.001
verdict = "regressed" if ratio > 1.1 else "unchanged"
comparison = {"ratio": ratio, "low": ratio - 0.05, "high": ratio + 0.05}
row = {"key": {"test": nodeid, "name": "", "metric": "latency"}, "verdict": verdict, "reason": "so"}
content = {"judgements": [{**row, "comparison": comparison}]}
pathlib.Path(options["--pe-perf-json"]).write_text(json.dumps(content))
sys.exit(verdict == "regressed")
"""


@pytest.fixture
def fake_pytest(project: Path) -> Path:
    """Put a module in the project that `python -m pytest` finds before the real one; return where it notes calls."""
    (project / "pytest.py").write_text(PYTEST)
    return project / "told.txt"


def test_the_verb(project: Path, hashes: list[str], temporary: Path, fake_pytest: Path) -> None:
    """One line for a step, and at the end the commit with all that one wants to know of it."""
    refs = git(project, "for-each-ref")
    out = pe_perf(project, "bisect", "HEAD~13..HEAD", TEST, "--time", "4 s").stdout
    steps, _, end = out.partition("\n\n")
    assert steps.splitlines()[0] == (
        f"{hashes[13][:10]} 13: bad, latency +25.0 %, 95 % interval +20.0 % to +30.0 %; about 4 steps left"
    )
    assert len(steps.splitlines()) == 5 == len(fake_pytest.read_text().splitlines())
    assert end.splitlines() == [
        f"The first bad commit is {hashes[7]}",
        "  7",
        f"  A Name, {git(project, 'log', '-1', '--format=%aI', hashes[7])}",
        f"  latency of {TEST} +25.0 %, 95 % interval +20.0 % to +30.0 %; against {hashes[0][:10]}",
        f"Look at it with: git show {hashes[7][:10]}",
    ]
    told = fake_pytest.read_text().splitlines()[0].split(" ")
    assert told[:5] == ["--pe-perf", "--pe-perf-against", hashes[0], "--pe-perf-head", hashes[13]]
    assert (told[5], told[7]) == ("--pe-perf-json", "--pe-perf-report")
    assert told[9:] == ["-o", f"cache_dir={Path(told[6]).with_name('cache')}", "--pe-perf-time", "4", "s", "-q", TEST]
    assert temporary in Path(told[6]).parents
    assert temporary in Path(told[8]).parents
    assert git(project, "for-each-ref") == refs
    assert list(temporary.iterdir()) == []


def test_the_verb_from_a_folder_below(project: Path, fake_pytest: Path) -> None:
    """Tests are named from the project's root, wherever one stands in it."""
    (project / "tests").mkdir()
    assert "first bad commit" in pe_perf(project / "tests", "bisect", "HEAD~13..", TEST).stdout


def test_the_verb_as_json(project: Path, hashes: list[str], fake_pytest: Path) -> None:
    """JSON tells the same and nothing else is printed."""
    found = json.loads(pe_perf(project, "bisect", "HEAD~13..HEAD", TEST, "--json").stdout)
    assert found["good"] == hashes[0]
    assert found["first_bad"]["hash"] == hashes[7]
    assert found["candidates"] == [found["first_bad"]]
    assert found["measured"][0]["commit"] == hashes[13]
    assert found["measured"][0]["row"]["comparison"]["ratio"] == 1.25


def test_the_verb_could_not_tell(project: Path, hashes: list[str], fake_pytest: Path) -> None:
    """Commits that pytest fails to measure are skipped; what may be the first bad one is listed."""
    out = pe_perf(project, "bisect", "HEAD~13..HEAD", f"{TEST}_broken", status=3).stdout
    _, _, end = out.partition("Could not tell; the first bad commit is one of these:\n")
    assert [line.split()[1:] for line in end.splitlines()] == [
        ["5", "(skip)"],
        ["6", "(skip)"],
        ["7", "(skip)"],
        ["8", "(bad)"],
    ]
    assert "skip, pytest measured nothing (exit status 1): 1 error" in out
    found = json.loads(pe_perf(project, "bisect", "HEAD~13..", f"{TEST}_broken", "--json", status=3).stdout)
    assert found["first_bad"] is None
    assert [commit["hash"] for commit in found["candidates"]] == hashes[5:9]
    assert {item["answer"]: item["why"] for item in found["measured"]} == {
        "good": "",
        "bad": "",
        "skip": "pytest measured nothing (exit status 1): 1 error",
    }


def test_the_verb_nothing_to_find(project: Path, fake_pytest: Path) -> None:
    """Where the last commit is not worse, that is said after one step."""
    out = pe_perf(project, "bisect", "HEAD~13..HEAD", f"{TEST}_steady", status=3).stdout
    assert "good, latency +0.1 %" in out
    assert "Nothing to find" in out
    assert len(fake_pytest.read_text().splitlines()) == 1


def test_the_verb_no_such_test(project: Path, fake_pytest: Path, temporary: Path) -> None:
    """A test that pytest does not find is an error that repeats what pytest said."""
    done = pe_perf(project, "bisect", "HEAD~13..HEAD", f"{TEST}_gone", status=2)
    assert f"pytest cannot run '{TEST}_gone': ERROR: not found" in done.stderr
    assert list(temporary.iterdir()) == []


def test_ctrl_c_while_pytest_runs(project: Path, hashes: list[str], fake_pytest: Path, temporary: Path) -> None:
    """On Ctrl-C pytest is interrupted once, gets the time to tidy up, and nothing stays."""

    def interrupt() -> None:
        while not (project / "hangs").exists():
            threading.Event().wait(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    # A shell that ignores SIGINT hands that on; what is ignored cannot be tested.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(KeyboardInterrupt), workspace() as room:
            pairs = Pairs(project, hashes[0], f"{TEST}_hangs", (), room)
            find_first_bad(project, hashes[0], hashes[8], pairs.measure)
    finally:
        thread.join()
        signal.signal(signal.SIGINT, handler)
    assert (project / "tidied").exists()
    assert list(temporary.iterdir()) == []


def until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


def test_killed_while_pytest_runs(project: Path, fake_pytest: Path, temporary: Path) -> None:
    """A search that is killed leaves nothing behind, and no pytest that goes on."""
    verb = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "from pytest_pe_perf.cli import main; main()",
            "bisect",
            "HEAD~13..HEAD~5",
            f"{TEST}_hangs",
        ],
        cwd=project,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.DEVNULL,
    )
    try:
        assert until((project / "hangs").exists)
        assert list(temporary.iterdir()) != []
    finally:
        verb.kill()
        verb.wait()
    assert until(lambda: list(temporary.iterdir()) == [])
    pid = int((project / "hangs").read_text())
    assert until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    assert not (project / "tidied").exists()


def row(test: str, verdict: str, ratio: float | None = 1.0, metric: str = "latency") -> dict[str, object]:
    comparison = {"ratio": ratio, "low": ratio, "high": ratio, "tier": "paired"}
    key = {"test": test, "name": "", "metric": metric}
    return {"key": key, "verdict": verdict, "reason": "so", "comparison": comparison, "line": 3}


OTHERS = ("first", "tail", "collector")


@pytest.mark.parametrize(
    ("rows", "answer", "shown"),
    [
        ([row(TEST, "unchanged"), row(TEST, "improved", 0.8)], "good", 1.0),
        ([row(TEST, "unchanged"), row(TEST, "regressed", 1.2), row(TEST, "regressed", 1.5)], "bad", 1.5),
        ([row(TEST, "regressed", 1.2), row(TEST, "regressed", None)], "bad", None),
        ([row(TEST, "regressed", 1.2), row(TEST, "inconclusive", 1.1)], "bad", 1.2),
        ([row(TEST, "accepted", 1.2)], "bad", 1.2),
        ([row(TEST, "unchanged"), row(TEST, "inconclusive", 1.1)], "skip", 1.1),
        ([row(TEST, "over budget", 1.1)], "skip", 1.1),
        ([row(TEST, "new", 1.1)], "skip", 1.1),
        ([row(f"{TEST}[1]", "unchanged"), row(f"{TEST}[2]", "regressed", 1.3)], "bad", 1.3),
        ([row(f"{TEST}b", "regressed", 1.3), row(TEST, "unchanged")], "good", 1.0),
        ([row(TEST, "unchanged", 1.1), row(TEST, "regressed", 1.0, "peak")], "bad", 1.0),
        ([row(TEST, "inconclusive", 1.1), row(TEST, "regressed", 1.4, "allocations")], "bad", 1.4),
        ([row(TEST, "unchanged", 1.1), row(TEST, "inconclusive", 1.2, "peak")], "good", 1.1),
        ([row(TEST, "unchanged", 1.1), *(row(TEST, "inconclusive", 1.2, name) for name in OTHERS)], "good", 1.1),
        ([row(TEST, "inconclusive", 1.1), *(row(TEST, "unchanged", 1.2, name) for name in OTHERS)], "skip", 1.1),
        ([row(TEST, "inconclusive", 1.1), *(row(TEST, "regressed", 1.2, name) for name in OTHERS)], "skip", 1.1),
        ([row(TEST, "unchanged", 1.0, "peak"), row(TEST, "improved", 0.9, "retained")], "good", 1.0),
        ([row(TEST, "unchanged", 1.0, "peak"), row(TEST, "inconclusive", 1.1, "retained")], "skip", 1.1),
        ([row(TEST, "regressed", 1.3, "import"), row(TEST, "unchanged", 1.0, "peak")], "bad", 1.3),
        ([row(TEST, "regressed", 1.3, "first")], "bad", 1.3),
    ],
)
def test_decide(tmp_path: Path, rows: list[object], answer: Answer, shown: float | None) -> None:
    """One time or count that is worse makes a commit bad, a time that is not surely well makes it one to skip."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"run": {}, "judgements": rows, "notes": []}))
    measured = decide(path, TEST)
    assert measured is not None
    assert measured.answer == answer
    assert measured.row is not None
    assert measured.row.comparison is not None
    assert measured.row.comparison.ratio == shown
    assert bool(measured.why) == (answer == "skip")


def test_decide_says_what_it_passes_over(tmp_path: Path) -> None:
    """What the gate would fail the test for and the search does not look at is named."""
    path = tmp_path / "run.json"
    path.write_text(json.dumps({"judgements": [row(TEST, "unchanged"), row(TEST, "regressed", 1.2, "tail")]}))
    measured = decide(path, TEST)
    assert measured is not None
    assert (measured.answer, measured.why) == ("good", "worse is only what cannot be searched for: tail")


@pytest.mark.parametrize("text", [None, "", "{}", '{"judgements": []}'])
def test_decide_without_numbers(tmp_path: Path, text: str | None) -> None:
    """A run file that is not there, is none, or says nothing of the test decides nothing."""
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    assert decide(tmp_path / "run.json", TEST) is None


# Margins that noise cannot reach, and a slow-down that is far beyond them.
SETTINGS = """
[tool.pe_perf]
time = "20 ms"
threshold = "400 %"
margin = "300 %"
profile = "never"
"""
REAL_TEST = """
from shop import work

def test_work(pe_latency):
    pe_latency(work)
"""


@pytest.mark.slow
def test_real_measuring(tmp_path: Path, temporary: Path) -> None:
    """The third of three commits is twenty times slower; it is found, and nothing in the project tells of the search."""
    folder = tmp_path / "real"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch=main")
    (folder / "pyproject.toml").write_text(SETTINGS)
    (folder / "test_shop.py").write_text(REAL_TEST)
    (folder / ".gitignore").write_text("__pycache__/\n")
    found = []
    for number in (1, 2, 3):
        calls = 2000 if number == 3 else 100
        (folder / "shop.py").write_text(f"def work():\n    return sum(i * i for i in range({calls}))  # {number}\n")
        git(folder, "add", "--all")
        found.append(commit(folder, f"commit {number}"))
    plugins = "-p pytest_pe_perf.plugin"
    environ = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": plugins, "PYTHONDONTWRITEBYTECODE": "1"}
    out = pe_perf(folder, "bisect", "HEAD~2..HEAD", "test_shop.py::test_work", **environ).stdout
    assert f"The first bad commit is {found[2]}\n  commit 3\n" in out
    assert [step.split(":")[1].split(",")[0] for step in out.splitlines()[:2]] == [" bad", " good"]
    assert git(folder, "status", "--porcelain", "--ignored") == ""
    assert list(temporary.iterdir()) == []
