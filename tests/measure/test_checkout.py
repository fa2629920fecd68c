"""Two trees out of one repository: real repositories, real submodules, real processes that are killed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import psutil
import pytest

from pytest_pe_perf.errors import BaseError, SidesError
from pytest_pe_perf.measure import janitor
from pytest_pe_perf.measure.paired import changes, checkout, refs, second_env

pytestmark = pytest.mark.skipif(os.name != "posix", reason="paired measurement needs POSIX")

OPTIONS = (
    *("-c", "user.name=T", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false", "-c", "tag.gpgsign=false"),
    *("-c", "protocol.file.allow=always", "-c", "core.autocrlf=false", "-c", "advice.detachedHead=false"),
)
ODD_NAMES = ("with space.txt", "two\nlines.txt", "carriage\rreturn.txt", 'quote"and\\.txt', "-dash", "ünïcode/ß.txt")


@pytest.fixture(autouse=True)
def own_settings(monkeypatch, tmp_path):
    """No settings of the machine's, and no repository around the tests."""
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-C", str(folder), *OPTIONS, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, done.stderr.decode()
    return os.fsdecode(done.stdout).removesuffix("\n")


def write(folder: Path, files: dict[str, str | bytes]) -> None:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())


def commit(folder: Path, files: dict[str, str | bytes] | None = None, message: str = "c") -> str:
    write(folder, files or {})
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", message, "--allow-empty")
    return git(folder, "rev-parse", "HEAD")


def repository(folder: Path, files: dict[str, str | bytes] | None = None) -> Path:
    folder.mkdir(parents=True)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, files or {"a.txt": "a\n"})
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file by its path, without git's own; a link is its target."""
    found = {}
    for root, names, leaves in os.walk(folder):
        names[:] = [name for name in names if name != ".git"]
        links = [name for name in names if Path(root, name).is_symlink()]
        for name in [*leaves, *links]:
            path = Path(root, name)
            if name != ".git":
                content = b"-> " + os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
                found[path.relative_to(folder).as_posix()] = content
    return found


def exported(top: Path, rev: str, dest: Path) -> dict[str, bytes]:
    checkout.export_commit(top, refs.resolve(top, rev), dest)
    return files_of(dest)


def copied(top: Path, dest: Path) -> dict[str, bytes]:
    checkout.export_worktree(top, dest)
    return files_of(dest)


def until(condition, seconds: float = 30) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# Where the repository is


def test_the_top_is_found_from_below(tmp_path):
    """Any folder of the work tree will do."""
    top = repository(tmp_path / "r", {"deep/er/a": "a"})
    assert refs.toplevel(top / "deep" / "er").samefile(top)


def test_the_top_of_a_folder_that_ends_with_a_blank(tmp_path):
    """What git prints is taken as it is, but for its one line end."""
    top = repository(tmp_path / "r ")
    assert refs.toplevel(top).samefile(top)


def test_a_folder_without_a_repository(tmp_path):
    """The message says so in git's words and in ours."""
    with pytest.raises(BaseError, match=r"not in the work tree of a git repository.*not a git repository"):
        refs.toplevel(tmp_path)


def test_a_repository_without_a_commit(tmp_path):
    """There is nothing to compare with yet."""
    git(tmp_path, "init", "-q")
    with pytest.raises(BaseError, match="no commit yet"):
        refs.toplevel(tmp_path)


def test_a_machine_without_git(tmp_path, monkeypatch):
    """The message says what is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(BaseError, match="git could not be started"):
        refs.toplevel(tmp_path)


def test_what_a_git_hook_sets_is_not_used(tmp_path, monkeypatch):
    """A hook of another repository's runs us with its own in the environment."""
    top, other = repository(tmp_path / "r", {"a": "1"}), repository(tmp_path / "other", {"b": "1"})
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git" / "index"))
    assert refs.toplevel(top).samefile(top)
    assert exported(top, "HEAD", tmp_path / "x") == {"a": b"1"} == copied(top, tmp_path / "y")
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ()


# Which commit


@pytest.fixture
def branched(tmp_path):
    top = repository(tmp_path / "branched")
    fork = git(top, "rev-parse", "HEAD")
    git(top, "checkout", "-qb", "work")
    commit(top, {"b": "b"})
    git(top, "checkout", "-q", "main")
    commit(top, {"c": "c"})
    git(top, "checkout", "-q", "work")
    return top, fork


def test_the_merge_base_is_where_the_branch_began(branched):
    """Not the tip of main, which has gone on since."""
    top, fork = branched
    assert refs.merge_base(top, "main") == fork
    assert refs.merge_base(top, "work", "main") == fork


def test_an_annotated_tag_names_its_commit(branched):
    """A tag is an object of its own; the hash is the commit's."""
    top, fork = branched
    git(top, "tag", "-am", "t", "v1", fork)
    assert refs.resolve(top, "v1") == fork


def test_an_unknown_ref_is_told_what_is_close(branched):
    """A slip of the pen is answered with the name that was meant."""
    with pytest.raises(BaseError, match=r"'mian' is no commit that this clone knows; .*close: main; name one"):
        refs.merge_base(branched[0], "mian")


def test_a_branch_that_only_the_remote_has(branched, tmp_path):
    """In CI main is often only known as origin/main, or not at all."""
    git(tmp_path, "clone", "-q", "--branch", "work", f"file://{branched[0]}", "clone")
    with pytest.raises(BaseError, match=r"close: .*origin/main.*`git fetch origin main`"):
        refs.merge_base(tmp_path / "clone", "main")
    with pytest.raises(BaseError, match=r"`git fetch origin gone`"):
        refs.merge_base(tmp_path / "clone", "origin/gone")


@pytest.mark.parametrize("ref", ["-h", "--all", "--output=x", "", " ", "main\0", "main..work", "main work"])
def test_a_ref_is_never_an_option(branched, ref):
    """Whatever git would make of it."""
    with pytest.raises(BaseError, match=r"is not the name of a commit|is no commit"):
        refs.merge_base(branched[0], ref)


def test_a_shallow_clone_says_how_to_deepen_it(branched, tmp_path):
    """The history that is needed has not been cloned."""
    git(tmp_path, "clone", "-q", "--depth", "1", "--no-single-branch", f"file://{branched[0]}", "clone")
    with pytest.raises(BaseError, match=r"shallow.*--unshallow.*fetch-depth: 0"):
        refs.merge_base(tmp_path / "clone", "origin/main")


def test_an_unknown_ref_in_a_shallow_clone(branched, tmp_path):
    """The clone of one branch does not know the others."""
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{branched[0]}", "clone")
    with pytest.raises(BaseError, match=r"git fetch origin main.*shallow.*fetch-depth: 0"):
        refs.merge_base(tmp_path / "clone", "main")


def test_unrelated_histories(branched):
    """They have nothing in common, however much is cloned."""
    git(branched[0], "checkout", "-q", "--orphan", "island")
    commit(branched[0])
    with pytest.raises(BaseError, match="histories are unrelated"):
        refs.merge_base(branched[0], "main")


# The files of a commit


def test_a_commit_is_written_as_git_checks_it_out(tmp_path):
    """Odd names, links, exec bits, line ends and filters; what only git archive leaves out is there."""
    top = repository(tmp_path / "r", dict.fromkeys(ODD_NAMES, "x"))
    (top / os.fsdecode(b"latin-\xe9.txt")).write_text("é") if sys.platform == "linux" else None
    (top / "link").symlink_to("nowhere/else")
    (top / "run").write_text("#!/bin/sh\n")
    (top / "run").chmod(0o755)
    attributes = "win.txt text eol=crlf\nsecret export-ignore\nsubst export-subst ident\nup filter=up\n"
    commit(top, {".gitattributes": attributes, "win.txt": "1\n2\n", "secret": "s", "subst": "$Format:%H$", "up": "up"})
    git(top, "config", "filter.up.smudge", "tr a-z A-Z")
    # None of the tree that happens to be checked out decides what the commit's files are.
    (top / ".gitattributes").write_text("* text eol=lf\n")
    clone = tmp_path / "clone"
    git(tmp_path, "-c", "filter.up.smudge=tr a-z A-Z", "clone", "-q", str(top), str(clone))
    found = exported(top, "HEAD", tmp_path / "out")
    assert found == files_of(clone)
    assert (found["win.txt"], found["up"], found["subst"]) == (b"1\r\n2\r\n", b"UP", b"$Format:%H$")
    assert found["link"] == b"-> nowhere/else"
    assert set(ODD_NAMES) < set(found)
    assert (tmp_path / "out" / "run").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "out" / "win.txt").stat().st_mode & stat.S_IXUSR


def test_the_users_repository_stays_as_it_is(tmp_path):
    """No work tree, no reference, no other index, no hook."""
    top = repository(tmp_path / "r")
    base = git(top, "rev-parse", "HEAD")
    for hook in ("post-checkout", "post-index-change"):
        write(top, {f".git/hooks/{hook}": f"#!/bin/sh\ntouch {tmp_path}/hooked\n"})
        (top / ".git" / "hooks" / hook).chmod(0o755)
    commit(top, {"b": "b"})
    (tmp_path / "hooked").unlink()
    write(top, {"a.txt": "changed"})
    before = {name: content for name, content in all_of(top / ".git").items() if "objects" not in name}
    checkout.export_commit(top, base, tmp_path / "base")
    checkout.export_worktree(top, tmp_path / "head")
    changes.changed_files(top, base)
    assert {name: content for name, content in all_of(top / ".git").items() if "objects" not in name} == before
    assert not (tmp_path / "hooked").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"base", "head", "r"}


def all_of(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_an_older_commit_has_its_own_files(branched, tmp_path):
    """What came later is not there."""
    top, fork = branched
    assert exported(top, fork, tmp_path / "out") == {"a.txt": b"a\n"}


def test_a_commit_of_a_linked_work_tree(branched, tmp_path):
    """The user may work in one that `git worktree` made."""
    git(branched[0], "worktree", "add", "-q", str(tmp_path / "linked"), "main")
    assert set(exported(tmp_path / "linked", "work", tmp_path / "x")) == {"a.txt", "b"}
    assert set(copied(tmp_path / "linked", tmp_path / "y")) == {"a.txt", "c"}


# The working tree


def test_the_working_tree_is_copied_as_it_is(tmp_path):
    """Modified, deleted, new; not what is ignored, not byte code, not what is no file."""
    top = repository(
        tmp_path / "r", {"same": "s", "modified": "m", "gone": "g", "dir/gone": "g", ".gitignore": "*.o\n"}
    )
    write(top, {"modified": "M", "staged": "S", **dict.fromkeys(ODD_NAMES, "x")})
    git(top, "add", "staged")
    write(top, {"new/file": "n", "built.o": "o", "forced.o": "f", "pkg/__pycache__/a.pyc": "p"})
    git(top, "add", "-f", "forced.o")
    (top / "gone").unlink()
    shutil.rmtree(top / "dir")
    (top / "link").symlink_to("same")
    (top / "folder").symlink_to("new")
    os.mkfifo(top / "pipe")
    (top / "same").chmod(0o755)
    (top / "modified").chmod(0o400)
    kept = {"same": b"s", "modified": b"M", "staged": b"S", "new/file": b"n", "forced.o": b"f", ".gitignore": b"*.o\n"}
    links = {"link": b"-> same", "folder": b"-> new"}
    assert copied(top, tmp_path / "out") == kept | links | dict.fromkeys(ODD_NAMES, b"x")
    assert stat.S_IMODE((tmp_path / "out" / "same").stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "out" / "modified").stat().st_mode) == 0o400


@pytest.mark.skipif(sys.platform == "darwin", reason="file names are UTF-8 there")
def test_names_that_are_not_utf_8(tmp_path):
    """A file's name is bytes; they arrive as they are."""
    name = os.fsdecode(b"latin-\xe9/\xff.txt")
    top = repository(tmp_path / "r", {name: "x"})
    assert exported(top, "HEAD", tmp_path / "x") == copied(top, tmp_path / "y") == {name: b"x"}
    write(top, {name: "y"})
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == (name,)


def test_a_socket_is_passed_over(tmp_path, monkeypatch):
    """A server that runs in the working tree leaves one there."""
    top = repository(tmp_path / "r", {"a": "a", "b": "b"})
    (top / "a").unlink()
    monkeypatch.chdir(top)  # a socket's path must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("a")
        assert copied(top, tmp_path / "out") == {"b": b"b"}


def test_a_tracked_folder_that_became_a_link(tmp_path):
    """What is behind the link is not the repository's, and nothing is written through it."""
    top = repository(tmp_path / "r", {"d/a": "a", "file/b": "b"})
    write(tmp_path, {"away/a": "other"})
    shutil.rmtree(top / "d")
    (top / "d").symlink_to(tmp_path / "away")
    shutil.rmtree(top / "file")
    write(top, {"file": "now a file"})
    expected = {"d": b"-> " + os.fsencode(tmp_path / "away"), "file": b"now a file"}
    assert copied(top, tmp_path / "out") == expected
    base = refs.resolve(top, "HEAD")
    checkout.export_commit(top, base, tmp_path / "base")
    checkout.overlay(tmp_path / "out", tmp_path / "base", changes.changed_files(top, base))
    assert files_of(tmp_path / "base") == expected
    # And back.
    git(top, "checkout", "-q", "-f", "HEAD")
    checkout.overlay(top, tmp_path / "base", ["d", "d/a", "file", "file/b"])
    assert files_of(tmp_path / "base") == {"d/a": b"a", "file/b": b"b"}
    assert files_of(tmp_path / "away") == {"a": b"other"}


def test_a_repository_within_is_left_out(tmp_path):
    """It is no part of this one, and git would not add its files either."""
    top = repository(tmp_path / "r")
    repository(top / "nested")
    assert copied(top, tmp_path / "out") == {"a.txt": b"a\n"}
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ()


def test_a_merge_conflict_is_copied_as_it_stands(branched, tmp_path):
    """The file with its markers, once."""
    top, _ = branched
    commit(top, {"c": "ours"})
    subprocess.run(["git", "-C", str(top), *OPTIONS, "merge", "-q", "main"], capture_output=True, check=False)
    assert b"<<<<<<<" in copied(top, tmp_path / "out")["c"]
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ("c",)


def test_a_sparse_checkout_is_refused(tmp_path):
    """The files that it leaves out would look deleted."""
    top = repository(tmp_path / "r", {"in/a": "a", "out/b": "b"})
    git(top, "sparse-checkout", "set", "in")
    with pytest.raises(BaseError, match=r"out/b is left out .* by a sparse checkout.*sparse-checkout disable"):
        checkout.export_worktree(top, tmp_path / "out")
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ()
    assert exported(top, "HEAD", tmp_path / "commit") == {"in/a": b"a", "out/b": b"b"}


def test_a_file_that_cannot_be_read_is_named(tmp_path, monkeypatch):
    """Nobody looks for it in a traceback."""
    top = repository(tmp_path / "r")

    def refused(source, target):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkout.shutil, "copyfile", refused)
    with pytest.raises(BaseError, match=r"a\.txt of .* cannot be copied: Permission denied"):
        checkout.export_worktree(top, tmp_path / "out")


def test_a_workspace_within_the_repository_is_not_its_content(tmp_path, monkeypatch):
    """The system's temporary folder may be anywhere."""
    top = repository(tmp_path / "r")
    monkeypatch.setattr(janitor.tempfile, "tempdir", str(top))
    with janitor.workspace() as place:
        checkout.export_commit(top, refs.resolve(top, "HEAD"), place.path / "base")
        assert copied(top, place.path / "head") == {"a.txt": b"a\n"}
        assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ()


# Submodules


@pytest.fixture
def composed(tmp_path):
    """A repository with a submodule that has a submodule; both are checked out."""
    inner, outer = repository(tmp_path / "inner", {"i": "1"}), repository(tmp_path / "outer", {"o": "1"})
    git(outer, "submodule", "add", "-q", str(inner), "in ner")
    commit(outer)
    top = repository(tmp_path / "top", {"t": "1"})
    git(top, "submodule", "add", "-q", str(outer), "lib/outer")
    git(top, "submodule", "update", "-q", "--init", "--recursive")
    commit(top)
    return top


def test_clean_submodules_are_on_both_sides(composed, tmp_path):
    """With their own submodules."""
    expected = files_of(composed)
    assert {"lib/outer/o", "lib/outer/in ner/i"} < set(expected)
    assert exported(composed, "HEAD", tmp_path / "x") == expected == copied(composed, tmp_path / "y")
    assert changes.changed_files(composed, refs.resolve(composed, "HEAD")) == ()


def test_dirty_submodules_are_copied_as_they_are(composed, tmp_path):
    """Their commit is one side, their files are the other; what differs are files of theirs."""
    write(composed / "lib" / "outer", {"o": "2", "in ner/i": "2", "in ner/new": "n"})
    head = copied(composed, tmp_path / "head")
    assert (head["lib/outer/o"], head["lib/outer/in ner/i"], head["lib/outer/in ner/new"]) == (b"2", b"2", b"n")
    assert exported(composed, "HEAD", tmp_path / "base")["lib/outer/in ner/i"] == b"1"
    changed = changes.changed_files(composed, refs.resolve(composed, "HEAD"))
    assert changed == ("lib/outer/in ner/i", "lib/outer/in ner/new", "lib/outer/o")
    checkout.overlay(tmp_path / "head", tmp_path / "base", changed)
    assert files_of(tmp_path / "base") == head


def test_a_submodule_at_another_commit(composed, tmp_path):
    """Each side has the files of its own commit."""
    base = git(composed, "rev-parse", "HEAD")
    commit(composed / "lib" / "outer", {"o": "2", "p": "2"})
    head = commit(composed)
    assert exported(composed, base, tmp_path / "base")["lib/outer/o"] == b"1"
    assert exported(composed, head, tmp_path / "head")["lib/outer/o"] == b"2"
    assert changes.changed_files(composed, base, head) == ("lib/outer/o", "lib/outer/p")
    assert changes.changed_files(composed, base) == ("lib/outer/o", "lib/outer/p")


def test_a_submodule_that_is_new(composed):
    """All of its files are."""
    first = git(composed, "rev-list", "--max-parents=0", "HEAD")
    new = (".gitmodules", "lib/outer/.gitmodules", "lib/outer/in ner/i", "lib/outer/o")
    assert changes.changed_files(composed, first) == new == changes.changed_files(composed, first, "HEAD")


def test_submodules_that_are_not_initialised_are_empty_on_both_sides(composed, tmp_path):
    """Whoever works without them measures without them."""
    git(tmp_path, "clone", "-q", str(composed), "clone")
    clone = tmp_path / "clone"
    expected = {".gitmodules", "t"}
    assert set(exported(clone, "HEAD", tmp_path / "x")) == expected == set(copied(clone, tmp_path / "y"))
    assert (tmp_path / "x" / "lib" / "outer").is_dir()
    assert (tmp_path / "y" / "lib" / "outer").is_dir()
    assert changes.changed_files(clone, refs.resolve(clone, "HEAD")) == ()
    git(composed, "submodule", "--quiet", "deinit", "-f", "--all")
    assert set(exported(composed, "HEAD", tmp_path / "z")) == expected


def test_a_submodule_without_the_commit_is_named(composed, tmp_path):
    """It has to be fetched before the base can be built."""
    base = git(composed, "rev-parse", "HEAD")
    shutil.rmtree(composed / "lib" / "outer")
    write(composed / "lib" / "outer", {})
    other = repository(tmp_path / "other", {"x": "1"})
    shutil.copytree(other, composed / "lib" / "outer")
    with pytest.raises(BaseError, match=r"submodule lib/outer is needed at its commit .*submodule update --init"):
        checkout.export_commit(composed, base, tmp_path / "out")


def test_a_submodule_that_was_moved_or_removed(composed, tmp_path):
    """Git keeps its repository; where it has none, the message names it."""
    base = git(composed, "rev-parse", "HEAD")
    git(composed, "rm", "-qf", "lib/outer")
    commit(composed)
    assert {"lib/outer/o", "lib/outer/in ner/i"} < set(exported(composed, base, tmp_path / "out"))
    git(tmp_path, "clone", "-q", str(composed), "clone")
    with pytest.raises(BaseError, match=r"submodule lib/outer is needed at commit .*submodule update --init"):
        checkout.export_commit(tmp_path / "clone", base, tmp_path / "other")


# What differs


def test_what_differs_between_a_commit_and_the_working_tree(tmp_path):
    """Modified, deleted, new and renamed; neither touched nor ignored."""
    files = {"same": "s", "touched": "t", "modified": "m", "gone": "g", "run": "r", "moved": "long enough\n" * 9}
    top = repository(tmp_path / "r", {**files, ".gitignore": "*.o\n"})
    base = git(top, "rev-parse", "HEAD")
    commit(top, {"later": "l"})
    write(top, {"modified": "M", "new": "n", "built.o": "o", "staged": "s", "__pycache__/x.pyc": "p"})
    git(top, "add", "staged")
    git(top, "mv", "moved", "renamed")
    os.utime(top / "touched", (1, 1))
    (top / "gone").unlink()
    (top / "run").chmod(0o755)
    expected = ("gone", "later", "modified", "moved", "new", "renamed", "run", "staged")
    assert changes.changed_files(top, base) == expected
    assert changes.changed_files(top, base, "HEAD") == ("later",)


def test_a_file_that_git_was_told_to_overlook_counts(tmp_path):
    """It is measured, so it is not unchanged."""
    top = repository(tmp_path / "r", {"assumed": "1", "skipped": "1", "both": "1", "same": "1"})
    git(top, "update-index", "--assume-unchanged", "assumed", "both", "same")
    git(top, "update-index", "--skip-worktree", "skipped", "both")
    write(top, {"assumed": "2", "skipped": "2", "both": "2"})
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ("assumed", "both", "skipped")


def test_the_users_settings_of_diff_change_nothing(tmp_path, monkeypatch):
    """Paths are relative to the top, and renames are two."""
    top = repository(tmp_path / "r", {"d/a": "a" * 99})
    git(top, "mv", "d/a", "d/b")
    for setting in ("diff.relative=true", "diff.renames=copies", "diff.external=false", "diff.autoRefreshIndex=false"):
        git(top, "config", *setting.split("="))
    assert changes.changed_files(top, refs.resolve(top, "HEAD")) == ("d/a", "d/b")


def test_an_overlay_makes_files_the_same(tmp_path):
    """Copied with their modes, or removed with the folders that are empty then."""
    write(tmp_path, {"source/a": "2", "source/sub/b": "2", "dest/a": "1", "dest/old/x": "1", "dest/keep/y": "1"})
    write(tmp_path, {"source/both/.z": "1", "dest/both/gone": "1", "dest/sub": "a file in the way"})
    (tmp_path / "source" / "a").chmod(0o755)
    (tmp_path / "dest" / "a").chmod(0o444)
    checkout.overlay(tmp_path / "source", tmp_path / "dest", ["old/x", "a", "sub/b", "both/gone", "never/was"])
    assert files_of(tmp_path / "dest") == {"a": b"2", "sub/b": b"2", "keep/y": b"1"}
    assert (tmp_path / "dest" / "a").stat().st_mode & stat.S_IXUSR
    assert not (tmp_path / "dest" / "old").exists()
    assert (tmp_path / "dest" / "both").is_dir()


def test_an_overlay_leaves_no_byte_code_that_is_believed(tmp_path):
    """Python runs what was laid over, although it has as many bytes and came in the same second; then what came back."""
    write(tmp_path, {"source/m.py": "X = 2", "dest/m.py": "X = 1", "own/m.py": "X = 1"})
    command = [sys.executable, "-P", "-c", "import sys; sys.path.insert(0, '.'); import m; print(m.X)"]
    elsewhere = {"PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX"}
    environ = {name: value for name, value in os.environ.items() if name not in elsewhere}
    seen = []
    for source in ("own", "source", "own", "source"):
        checkout.overlay(tmp_path / source, tmp_path / "dest", ["m.py"])
        done = subprocess.run(command, cwd=tmp_path / "dest", env=environ, capture_output=True, text=True, check=True)
        seen.append(done.stdout.strip())
    assert (tmp_path / "dest/__pycache__").is_dir()
    assert seen == ["1", "2", "1", "2"]


# A repository for build tools


def test_a_tree_can_tell_its_version(branched, tmp_path):
    """`git describe` says what it says in the user's repository, dirty included."""
    top, fork = branched
    git(top, "tag", "-am", "t", "v1.2", fork)
    tree = tmp_path / "tree"
    checkout.export_commit(top, refs.resolve(top, "work"), tree)
    checkout.make_repository(top, refs.resolve(top, "work"), tree)
    describe = ("describe", "--dirty", "--tags", "--long")
    assert git(tree, *describe) == git(top, *describe)
    assert git(tree, "status", "--porcelain") == ""
    assert git(tree, "rev-parse", "HEAD", "main", "v1.2") == git(top, "rev-parse", "work", "main", "v1.2")
    write(tree, {"a.txt": "dirty"})
    assert git(tree, *describe).startswith("v1.2-1-g")
    assert git(tree, *describe).endswith("-dirty")
    assert git(top, "status", "--porcelain") == ""


def test_a_tree_of_a_shallow_clone_can_tell_its_version(branched, tmp_path):
    """What is cut off there is cut off here."""
    git(tmp_path, "clone", "-q", "--depth", "1", f"file://{branched[0]}", "clone")
    clone, tree = tmp_path / "clone", tmp_path / "tree"
    git(clone, "tag", "v3")
    git(clone, "config", "core.autocrlf", "true")
    write(clone, {"crlf": "1\r\n"})
    git(clone, "-c", "core.autocrlf=true", "add", "-A")
    git(clone, "-c", "core.autocrlf=true", "commit", "-qm", "c")
    checkout.export_worktree(clone, tree)
    checkout.make_repository(clone, refs.resolve(clone, "HEAD"), tree)
    command = ["git", "-C", str(tree), "describe", "--dirty", "--tags"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said.startswith("v3-1-g")
    assert "dirty" not in said
    assert git(tree, "log", "--oneline").count("\n") == 1


# The workspace


def test_a_workspace_is_gone_afterwards():
    """With everything in it, what may not be written to included."""
    with janitor.workspace() as place:
        write(place.path, {"a/b/c": "c"})
        (place.path / "a" / "b" / "c").chmod(0o400)
        (place.path / "a" / "b").chmod(0o500)
        (place.path / "a").chmod(0o000)
        assert place.path.name.startswith("pe-perf-")
        assert stat.S_IMODE(place.path.stat().st_mode) == 0o700
    assert not place.path.exists()


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_workspace_is_gone_after_an_exception(error):
    """And the exception goes on."""
    with pytest.raises(error), janitor.workspace() as place:
        raise error
    assert not place.path.exists()


def test_a_link_out_of_the_workspace_is_not_followed(tmp_path):
    """Neither what it leads to nor its mode is touched."""
    write(tmp_path, {"mine/file": "x"})
    (tmp_path / "mine").chmod(0o500)
    with janitor.workspace() as place:
        write(place.path, {"d/x": "x"})
        (place.path / "d" / "out").symlink_to(tmp_path / "mine")
        (place.path / "d").chmod(0o500)
    assert not place.path.exists()
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == 0o500
    (tmp_path / "mine").chmod(0o700)


def sleeper() -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=True)


def test_what_is_watched_ends_with_the_workspace():
    """Unless it was forgotten before."""
    ended, kept = sleeper(), sleeper()
    try:
        with janitor.workspace() as place:
            place.watch(ended.pid)
            place.watch(kept.pid)
            place.unwatch(kept.pid)
        assert ended.wait(30) == -signal.SIGKILL
        assert kept.poll() is None
    finally:
        for process in (ended, kept):
            process.kill()
            process.wait()


def test_our_own_group_is_not_watched():
    """It would be the end of the user's terminal session."""
    with janitor.workspace() as place:
        for group in (0, 1, -1, os.getpgrp()):
            with pytest.raises(ValueError, match="not one of ours"):
                place.watch(group)


def test_a_janitor_that_is_killed_is_not_missed():
    """The workspace does its work itself then."""
    process = sleeper()
    with janitor.workspace() as place:
        place.watch(process.pid)
        place._janitor.kill()
        place._janitor.wait()
        place.watch(process.pid)
        place.unwatch(12345678)
    assert not place.path.exists()
    assert process.wait(30) == -signal.SIGKILL


HOLDER = """
import os, signal, subprocess, sys, time
from pytest_pe_perf.measure.janitor import workspace
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have started the tests with it ignored
with workspace() as place:
    code = "import time; time.sleep(600)"
    quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen([sys.executable, "-c", code], start_new_session=True, **quiet)
    place.watch(child.pid)
    (place.path / "tree").mkdir()
    (place.path / "tree" / "file").write_text("x")
    forked = os.fork() if "fork" in sys.argv else -1
    if forked == 0:
        os.close(1), os.close(2)
        time.sleep(600)
    print(place.path, child.pid, place._janitor.pid, forked, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("forks", [[], ["fork"]], ids=["alone", "with a fork"])
def test_a_workspace_is_gone_when_its_owner_is_killed(number, forks):
    """The processes that worked in it too, and nobody who reads the owner's output waits for the janitor."""
    if sys.version_info >= (3, 12) and forks and sys.platform == "darwin":
        pytest.skip("fork is not safe there")
    owner = subprocess.Popen([sys.executable, "-c", HOLDER, *forks], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert owner.stdout is not None
    name, child, helper, forked = owner.stdout.readline().split()
    path = Path(os.fsdecode(name))
    assert path.is_dir()
    owner.send_signal(number)
    try:
        owner.communicate(timeout=30)  # to the end of its output
        assert until(lambda: not path.exists())
        assert until(lambda: is_over(int(child)))
        assert until(lambda: is_over(int(helper)))
    finally:
        if int(forked) > 0:
            os.kill(int(forked), signal.SIGKILL)


# A second environment

EXTENSION = """
#include <Python.h>
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "_probe", NULL, -1, NULL};
PyMODINIT_FUNC PyInit__probe(void) {
    PyObject *made = PyModule_Create(&module);
    PyModule_AddIntConstant(made, "answer", ANSWER);
    return made;
}
"""
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "pe-perf-probe"
version = "VERSION"
[tool.hatch.build.targets.wheel]
include = ["probe.py", "_probe.*"]
"""
COMPILE = "cc -shared -fPIC -I{include} {options} probe.c -o _probe{suffix} && "
INSTALL = "pip install --no-deps ."


def probe(folder: Path, version: str) -> tuple[Path, str]:
    """A project whose version and code tell which side it is, and the command that builds and installs it.

    It has a C extension where that can be compiled.
    """
    major = version.split(".", maxsplit=1)[0]
    write(folder, {"probe.py": f"side = {version!r}\n", "pyproject.toml": PROJECT.replace("VERSION", version)})
    install = INSTALL
    if importlib.util.find_spec("hatchling"):
        install += " --no-build-isolation --no-index"
    include = sysconfig.get_path("include")
    if not (shutil.which("cc") and Path(include, "Python.h").exists()):
        write(folder, {"_probe.py": f"answer = {major}\n"})
        return folder, install
    write(folder, {"probe.c": EXTENSION.replace("ANSWER", major)})
    options = "-undefined dynamic_lookup" if sys.platform == "darwin" else ""
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    return folder, COMPILE.format(include=include, options=options, suffix=suffix) + install


ASK = "import probe, _probe, pytest, importlib.metadata as m; print(probe.side, _probe.answer, m.version('pe-perf-probe'))"


def said(python: Path, code: str) -> str:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False, env=environ, cwd="/")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_two_environments_differ_only_in_what_was_installed(tmp_path):
    """Each has its own build; pytest and all the rest are those of here, and here nothing was installed."""
    pythons = []
    for side, version in (("base", "1.0"), ("head", "2.0")):
        tree, command = probe(tmp_path / side, version)
        with janitor.workspace() as place:
            python = second_env.second_environment(tmp_path / f"env-{side}", tree, command, os.environ, watcher=place)
        pythons.append(python)
    assert [said(python, ASK) for python in pythons] == ["1.0 1 1.0", "2.0 2 2.0"]
    where = "import pytest, pytest_pe_perf; print(pytest.__file__, pytest_pe_perf.__file__)"
    here = said(Path(sys.executable), where)
    assert {said(python, where) for python in pythons} == {here}
    with pytest.raises(AssertionError, match="No module named"):
        said(Path(sys.executable), "import probe")


def test_what_is_installed_comes_before_editable_installs_of_here(tmp_path, monkeypatch):
    """Also before those that stand in front of sys.path, as meson-python's do."""
    here = tmp_path / "here"
    finder = "import sys\nfrom importlib.machinery import PathFinder\nclass Finder:\n    @staticmethod\n"
    finder += "    def find_spec(name, path=None, target=None):\n        if name in ('probe', 'other'):\n"
    finder += f"            return PathFinder.find_spec(name, [{str(tmp_path / 'source')!r}])\n"
    write(here, {"finder.py": finder + "sys.meta_path.insert(0, Finder)\n", "finder.pth": "import finder\n"})
    write(here, {"editable.pth": f"{tmp_path / 'editable'}\n"})
    write(tmp_path / "source", {"probe.py": "side = 'here'\n", "other.py": ""})
    write(tmp_path / "editable", {"probe.py": "side = 'here'\n", "_probe.py": "answer = 0\n", "third.py": ""})
    known = second_env.current_site_packages()
    monkeypatch.setattr(second_env, "current_site_packages", lambda: (str(here), *known))
    tree, command = probe(tmp_path / "tree", "3.0")
    python = second_env.second_environment(tmp_path / "env", tree, command, os.environ)
    assert said(python, ASK + "; import other, third") == "3.0 3 3.0"
    if importlib.util.find_spec("setuptools"):
        assert said(python, "import setuptools, distutils; print(distutils.__file__)").count("setuptools") == 1


def test_the_command_runs_in_the_tree_and_in_the_environment(tmp_path, monkeypatch):
    """What its tools are asked for is the new environment, whatever was set outside."""
    for name in second_env._NOT_INHERITED:
        monkeypatch.setenv(name, "/nowhere")
    (tmp_path / "tree").mkdir()
    script = "python -c 'import sys; print(sys.prefix)' > it; command -v pip >> it; pwd -P >> it; env > environ"
    python = second_env.second_environment(tmp_path / "env", tmp_path / "tree", script, os.environ)
    prefix, pip, folder = (tmp_path / "tree" / "it").read_text().splitlines()
    assert Path(prefix) == tmp_path / "env" == python.parent.parent
    assert Path(pip).parent == tmp_path / "env" / "bin"
    assert Path(folder).samefile(tmp_path / "tree")
    environ = (tmp_path / "tree" / "environ").read_text()
    assert f"VIRTUAL_ENV={tmp_path / 'env'}\n" in environ
    assert "PIP_DISABLE_PIP_VERSION_CHECK=1\n" in environ
    assert "/nowhere" not in environ


def test_a_command_that_fails_says_what_it_said(tmp_path):
    """The last lines of it, with the exit status."""
    command = "echo cc1: fatal error; echo no such header >&2; exit 3"
    with pytest.raises(SidesError, match=r"(?s)exit status 3.*cc1: fatal error\nno such header"):
        second_env.second_environment(tmp_path / "env", tmp_path, command, os.environ)


def test_an_environment_in_which_pytest_is_broken(tmp_path):
    """The command may install something that does not go with pytest."""
    script = "import pathlib, sysconfig; path = pathlib.Path(sysconfig.get_path('purelib'), 'pytest.py'); "
    script += "path.write_text('raise ImportError(\\'broken here\\')')"
    command = f'python -c "{script}"'
    with pytest.raises(SidesError, match=r"(?s)importing pytest and pytest_pe_perf after.*broken here"):
        second_env.second_environment(tmp_path / "env", tmp_path, command, os.environ)


def test_a_command_that_hangs_is_ended(tmp_path, monkeypatch):
    """With what it started."""
    monkeypatch.setattr(second_env, "_SECONDS_TO_BUILD", 0.5)
    with pytest.raises(SidesError, match="did not finish"):
        second_env.second_environment(tmp_path / "env", tmp_path, "sleep 600 & echo $! > pid; wait", os.environ)
    assert until(lambda: is_over(int((tmp_path / "pid").read_text())))
