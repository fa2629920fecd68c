from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf.baseline.accepts import accepts_of, with_accepts
from pytest_pe_perf.baseline.origin import Origin, accepted_at, age_of
from pytest_pe_perf.baseline.store import path_of, save
from pytest_pe_perf.errors import BaselineError
from pytest_pe_perf.judge.stale import YOUNG, Age
from pytest_pe_perf.model import BaselineRow, Environment, Key, Past, Run

HERE = Environment("cpython", "3.11", "linux", "x86_64-amd-25-1", 2)
FOLDER = Path("baselines")
MODULE, OTHER = "tests/perf/test_x.py", "tests/perf/test_y.py"


def row(test: str, value: float = 1.0, module: str = MODULE, reason: str = "") -> BaselineRow:
    return BaselineRow(Key(f"{module}::{test}", "", "latency"), value, "abc", 0.1, reason=reason)


A, B, C = row("test_a"), row("test_b"), row("test_c")
UNCOMMITTED = Origin(why_not="the row is not committed as it stands in the working tree")


def git(repository: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def commit(project: Path, message: str = "Accept") -> str:
    git(project, "add", "-A")
    git(project, "commit", "--quiet", "--allow-empty", "-m", message)
    return git(project, "rev-parse", "HEAD")


def accept(project: Path, *rows: BaselineRow, module: str = MODULE) -> str:
    """Write the rows as the baseline of their module, commit, and return the commit."""
    save(project / FOLDER, HERE, {module: rows})
    return commit(project)


def origins(project: Path, rows: Iterable[BaselineRow], folder: Path = FOLDER) -> list[Origin]:
    keys = [row.key for row in rows]
    found = accepted_at(project, folder, HERE, keys)
    assert found.keys() == set(keys)
    return [found[key] for key in keys]


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of whoever runs the tests must not matter to them."""
    (tmp_path / "gitconfig").write_text("[user]\nname = A Name\nemail = name@example.org\n")
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    git(folder, "init", "--quiet")
    return folder


def test_each_row_has_its_own_commit(project: Path) -> None:
    """A row's commit is the one in which it got its value, whatever happened to other rows since."""
    accept(project, A, B, C)
    second = accept(project, A, replace(B, value=2.0), C)
    third = accept(project, replace(A, value=3.0), replace(B, value=2.0), C)
    commit(project, "Something else")
    a, b, c = origins(project, [A, B, C])
    assert (a, b) == (Origin(third), Origin(second))
    assert c == Origin(git(project, "rev-parse", "HEAD~3"))


def test_a_value_that_came_back(project: Path) -> None:
    """A value that was accepted, replaced and accepted again has the later commit."""
    accept(project, A)
    accept(project, replace(A, value=2.0))
    third = accept(project, A)
    assert origins(project, [A]) == [Origin(third)]


def test_another_benchmark(project: Path) -> None:
    """The same value of a benchmark that was changed is another acceptance."""
    accept(project, A)
    second = accept(project, replace(A, source="def"))
    assert origins(project, [A]) == [Origin(second)]


def test_a_neighbour_gives_and_takes_the_comma(project: Path) -> None:
    """A row keeps its commit when rows below it come and go, which adds a comma to its line and takes it away."""
    first = accept(project, A)
    second = accept(project, A, B)
    accept(project, A)
    accept(project, A, C)
    assert origins(project, [A]) == [Origin(first)]
    assert origins(project, [B])[0].why_not.endswith("has no line with this row")
    assert second != first


def test_a_neighbour_that_is_not_committed(project: Path) -> None:
    """A new row at the end of the file leaves the commit of the one above it."""
    first = accept(project, A)
    save(project / FOLDER, HERE, {MODULE: [A, B]})
    assert origins(project, [A, B]) == [Origin(first), UNCOMMITTED]


def test_line_ends_reasons_and_hashes(project: Path) -> None:
    """Other line ends, a reason that is written later and a hash that is added accept nothing; nor do an editor's blanks."""
    first = accept(project, A, B)
    path = path_of(project / FOLDER, HERE, MODULE)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    commit(project)
    accept(project, replace(A, body="0123456789ab"), replace(B, reason="it checks more"))
    assert origins(project, [A, B]) == [Origin(first), Origin(first)]


def test_a_change_in_the_working_tree(project: Path) -> None:
    """A row that is changed or added and not committed has no commit; the others have theirs."""
    first = accept(project, A, B)
    save(project / FOLDER, HERE, {MODULE: [replace(A, value=2.0), B, C]})
    expected = [UNCOMMITTED, Origin(first), UNCOMMITTED]
    assert origins(project, [A, B, C]) == expected
    git(project, "add", "-A")
    assert origins(project, [A, B, C]) == expected


def test_a_renamed_file(project: Path) -> None:
    """When a module is renamed and its baseline with it, rows keep their commits."""
    rows = [row(f"test_{name}") for name in "abcdefgh"]
    first = accept(project, *rows)
    git(project, "mv", *(str(path_of(FOLDER, HERE, module)) for module in (MODULE, OTHER)))
    moved = [row(f"test_{name}", module=OTHER) for name in "abcdefgh"]
    save(project / FOLDER, HERE, {OTHER: moved})
    assert origins(project, moved) == [Origin(first)] * 8
    second = accept(project, *moved, row("test_i", module=OTHER), module=OTHER)
    assert origins(project, moved) == [Origin(first)] * 8
    assert origins(project, [row("test_i", module=OTHER)]) == [Origin(second)]


def test_a_merge(project: Path) -> None:
    """A row that a branch accepted has the branch's commit, not that of the merge."""
    first = accept(project, A, B, C)
    git(project, "checkout", "--quiet", "-b", "branch")
    branch = accept(project, replace(A, value=2.0), B, C)
    git(project, "checkout", "--quiet", "-")
    main = accept(project, A, B, replace(C, value=2.0))
    git(project, "merge", "--quiet", "--no-edit", "branch")
    assert origins(project, [A, B, C]) == [Origin(branch), Origin(first), Origin(main)]


def test_several_modules(project: Path) -> None:
    """Rows of several files are found at once; a module without a file says so and does not harm the others."""
    first = accept(project, A)
    second = accept(project, other := row("test_a", module=OTHER), module=OTHER)
    save(project / FOLDER, HERE, {"tests/test_new.py": [new := row("test_a", module="tests/test_new.py")]})
    nowhere = row("test_a", module="tests/test_z.py")
    assert origins(project, [A, other, new, nowhere]) == [
        Origin(first),
        Origin(second),
        Origin(why_not="the baseline file is not in git: nobody has committed it"),
        Origin(why_not="there is no baseline file tests__test_z.json"),
    ]
    git(project, "add", "-A")
    assert origins(project, [new]) == [UNCOMMITTED]


def test_a_root_below_the_top(project: Path) -> None:
    """The project may be a folder of a larger repository, and its name anything."""
    below = project / 'é "sub" folder'
    below.mkdir()
    first = accept(below, A)
    accept(below, A, B)
    assert origins(below, [A]) == [Origin(first)]
    assert origins(below, [A], folder=below / FOLDER) == [Origin(first)]


def test_names_and_parameters(project: Path) -> None:
    """Rows are told apart by test, name and metric, whatever is in them."""
    rows = [
        row('test_a["\\\n\u202e,]'),
        replace(A, key=Key(A.key.test, "cold", "latency")),
        replace(A, key=Key(A.key.test, "", "peak"), reference=None),
    ]
    first = accept(project, A, *rows)
    second = accept(project, A, rows[0], replace(rows[1], value=2.0), rows[2])
    assert origins(project, [A, *rows]) == [Origin(first), Origin(first), Origin(second), Origin(first)]


def test_a_file_laid_out_by_hand(project: Path) -> None:
    """A row that does not stand on one line is not found, and that is no error."""
    accept(project, A)
    path = path_of(project / FOLDER, HERE, MODULE)
    path.write_text(path.read_text().replace('"metric"', '\n"metric"'))
    assert origins(project, [A])[0].why_not == f"{path.name} has no line with this row"


def shallow_clone(project: Path, depth: int) -> Path:
    clone = project.with_name("clone")
    git(project, "clone", "--quiet", f"--depth={depth}", project.as_uri(), str(clone))
    return clone


def test_a_shallow_clone(project: Path) -> None:
    """Where the history of a clone ends, the commit is not known; what came after it is."""
    accept(project, A, B)
    commit(project, "Something else")
    second = accept(project, A, replace(B, value=2.0))
    clone = shallow_clone(project, 2)
    why_not = "not known in this shallow clone; get the rest with: git fetch --unshallow"
    assert origins(clone, [A, B]) == [Origin(why_not=why_not), Origin(second)]
    git(clone, "fetch", "--quiet", "--unshallow")
    assert origins(clone, [A, B]) == origins(project, [A, B])


def test_a_work_tree_beside(project: Path) -> None:
    """A linked work tree and a symbolic link to the project are as good as the project."""
    first = accept(project, A)
    git(project, "worktree", "add", "--quiet", "../beside")
    assert origins(project.with_name("beside"), [A]) == [Origin(first)]
    project.with_name("link").symlink_to(project)
    assert origins(project.with_name("link"), [A]) == [Origin(first)]


def test_variables_of_a_git_hook(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a hook's variables say that the repository is elsewhere, ours is found all the same."""
    first = accept(project, A)
    monkeypatch.setenv("GIT_DIR", str(project.with_name("nowhere")))
    monkeypatch.setenv("GIT_WORK_TREE", str(project.parent))
    monkeypatch.setenv("GIT_INDEX_FILE", str(project.with_name("index")))
    monkeypatch.setenv("GIT_PREFIX", "nowhere/")
    assert origins(project, [A]) == [Origin(first)]


def test_commits_that_the_user_ignores(project: Path) -> None:
    """The user's list of commits that blame is to ignore is not for us."""
    accept(project, A, B)
    second = accept(project, replace(A, value=2.0), B)
    (project / "ignored").write_text(f"{second}\n")
    git(project, "config", "blame.ignoreRevsFile", "ignored")
    assert origins(project, [A]) == [Origin(second)]


def test_a_list_of_ignored_commits_that_is_not_there(project: Path, tmp_path: Path) -> None:
    """A list that the user's settings name for all repositories, and that this one has not, does not matter."""
    first = accept(project, A)
    with (tmp_path / "gitconfig").open("a") as settings:
        settings.write("[blame]\nignoreRevsFile = .git-blame-ignore-revs\n")
    assert origins(project, [A]) == [Origin(first)]
    git(project, "config", "blame.ignoreRevsFile", "nowhere")
    assert origins(project, [A])[0].why_not.startswith("git says: fatal: could not open object name list")


def test_settings_of_the_user(project: Path) -> None:
    """Settings that change what git prints do not matter."""
    first = accept(project, A)
    git(project, "config", "core.quotePath", "false")
    git(project, "config", "core.abbrev", "5")
    git(project, "config", "blame.showRoot", "true")
    git(project, "config", "color.ui", "always")
    accept(project, A, B)
    assert origins(project, [A]) == [Origin(first)]


def test_no_commit_yet(project: Path) -> None:
    """A repository without commits says so."""
    save(project / FOLDER, HERE, {MODULE: [A]})
    assert origins(project, [A])[0].why_not == "nothing is committed in this repository yet"


def test_no_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project that is in no repository says so."""
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / "project").mkdir()
    save(tmp_path / "project" / FOLDER, HERE, {MODULE: [A]})
    assert origins(tmp_path / "project", [A])[0].why_not.endswith("is in no git repository")


def test_no_baselines(project: Path) -> None:
    """An environment without baselines says so."""
    assert origins(project, [A, B]) == [Origin(why_not=f"there are no baselines of {HERE.slug}")] * 2
    assert origins(project, []) == []


def test_no_git(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without git there is no commit, and that is no error."""
    accept(project, A)
    monkeypatch.setenv("PATH", str(project))
    assert origins(project, [A])[0].why_not.startswith("git cannot be started")


def script(folder: Path, text: str) -> None:
    (folder / "git").write_text(f"#!/bin/sh\n{text}\n")
    (folder / "git").chmod(0o755)


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for git")
def test_git_hangs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that does not answer is waited for no longer than the limit."""
    accept(project, A)
    monkeypatch.setattr("pytest_pe_perf.baseline.origin._SECONDS_TO_WAIT", 0.1)
    (project / "bin").mkdir()
    script(project / "bin", "exec sleep 60")
    monkeypatch.setenv("PATH", str(project / "bin"), prepend=os.pathsep)
    assert origins(project, [A])[0].why_not.startswith("git did not answer within")


@pytest.mark.skipif(os.name == "nt", reason="a script stands in for git")
def test_one_blame_for_a_file(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many rows and commits there are, blame is asked once for a file and the file's past once."""
    rows = [row(f"test_{number}") for number in range(20)]
    for number in range(20):
        accept(project, *(replace(row, value=2.0) if row in rows[:number] else row for row in rows))
    real = subprocess.run(["which", "git"], capture_output=True, text=True, check=True).stdout.strip()
    (project / "bin").mkdir()
    script(project / "bin", f'echo "$@" >> "{project}/asked"\nexec "{real}" "$@"')
    monkeypatch.setenv("PATH", str(project / "bin"), prepend=os.pathsep)
    assert len({origin.commit for origin in origins(project, rows)} - {""}) == 20
    asked = (project / "asked").read_text().splitlines()
    verbs = {"rev-parse", "blame", "cat-file"}
    assert [verb for line in asked for verb in line.split() if verb in verbs] == ["rev-parse", "blame", "cat-file"]


def test_a_bad_environment(project: Path) -> None:
    """An environment that is no name of a folder is an error, as it is everywhere."""
    with pytest.raises(BaselineError, match="no name of a folder"):
        accepted_at(project, FOLDER, replace(HERE, os="../.."), [A.key])


def ages(project: Path, rows: Iterable[BaselineRow], commits: int) -> Age:
    return age_of(project / FOLDER, HERE, [row.key for row in rows], commits)


def test_a_row_is_as_old_as_its_numbers(project: Path) -> None:
    """It is old once it has stood for so many commits, expired after twice as many, and young when it changes."""
    accept(project, A, B)
    for _ in range(3):
        commit(project, "Something else")
    accept(project, replace(A, reason="said better"), replace(B, value=2.0))
    assert ages(project, [A, B], 4) == Age(4, frozenset([A.key]))
    assert ages(project, [A, B], 2) == Age(2, frozenset([A.key]), frozenset([A.key]))
    assert ages(project, [A, B], 5) == Age(5)
    save(project / FOLDER, HERE, {MODULE: (replace(A, value=3.0), replace(B, value=2.0))})
    assert ages(project, [A, B], 2) == Age(2)


def test_what_was_merged_is_one_commit(project: Path) -> None:
    """Age is counted along the first parents: a branch of many commits makes nobody older by more than one."""
    accept(project, A)
    git(project, "checkout", "--quiet", "-b", "branch")
    for _ in range(3):
        commit(project, "On the branch")
    git(project, "checkout", "--quiet", "-")
    git(project, "merge", "--quiet", "--no-ff", "-m", "Merge", "branch")
    assert ages(project, [A], 1).old == {A.key}
    assert ages(project, [A], 2) == Age(2)


def test_only_times_have_an_age(project: Path) -> None:
    """A count is what it is, however long ago."""
    count = replace(A, key=Key(A.key.test, "", "peak"))
    accept(project, A, count)
    commit(project, "Something else")
    assert ages(project, [A, count], 1).old == {A.key}


def test_where_git_cannot_tell_no_row_is_old(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a shallow clone, outside of a repository, without git, and where ages are switched off."""
    accept(project, A)
    for _ in range(3):
        commit(project, "Something else")
    assert ages(project, [A], 3).old == {A.key}
    assert ages(project, [A], 0) == YOUNG
    git(tmp_path, "clone", "--quiet", "--depth=2", f"file://{project}", "shallow")
    assert ages(tmp_path / "shallow", [A], 3) == Age(3)
    save(tmp_path / "nowhere" / FOLDER, HERE, {MODULE: [A]})
    assert ages(tmp_path / "nowhere", [A], 3) == YOUNG
    monkeypatch.setenv("PATH", "")
    assert ages(project, [A], 3) == YOUNG


def test_the_history_of_what_was_accepted(project: Path) -> None:
    """Each acceptance of a row is told with its commit, its author and its reason; what only reads otherwise is none."""
    first = accept(project, A, B)
    accept(project, replace(A, reason="as it was"), B, C)
    second = accept(project, replace(A, value=2.0, anchor=1.0, reason="worth it"), B, row("test_é", 4.0))
    accept(project, row("test_a", 9.0, OTHER), module=OTHER)
    save(project / FOLDER, HERE, {MODULE: [replace(A, value=3.0)]})  # and not committed
    found = accepts_of(project / FOLDER, HERE, [A.key, B.key, Key(f"{MODULE}::test_gone", "", "latency")])
    assert found.keys() == {A.key, B.key}
    assert [(one.commit, one.who, one.value, one.anchor, one.reason) for one in found[A.key]] == [
        (first, "A Name", 1.0, None, ""),
        (second, "A Name", 2.0, 1.0, "worth it"),
    ]
    assert [one.value for one in found[B.key]] == [1.0]
    beside = Run(1, "2026-11-20T09:41:07+00:00", HERE, {"against": "main"}, ())
    assert with_accepts(Past(), project / FOLDER, beside) == Past()


def test_without_git_nothing_is_known_of_what_was_accepted(tmp_path: Path) -> None:
    save(tmp_path / FOLDER, HERE, {MODULE: [A]})
    assert accepts_of(tmp_path / FOLDER, HERE, [A.key]) == {}
    assert accepts_of(tmp_path / "nowhere", HERE, [A.key]) == {}
