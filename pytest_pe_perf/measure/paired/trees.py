"""Two trees that differ in the code alone: head's tests run on base's code, each side in a copy of the project."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from pytest_pe_perf.errors import SidesError
from pytest_pe_perf.measure.command import Command
from pytest_pe_perf.measure.janitor import Workspace
from pytest_pe_perf.measure.paired import changes, checkout, imports, refs, start
from pytest_pe_perf.measure.paired.process import Side, SideError, moved
from pytest_pe_perf.measure.paired.second_env import second_environment
from pytest_pe_perf.measure.paired.wire import Collected

# Folders of these names hold tests, wherever they stand.
SUITE_FOLDERS = frozenset({"test", "tests", "benchmark", "benchmarks", "bench"})


@dataclass(frozen=True, slots=True)
class Against:
    """What is compared with what: two commits of the repository at ``top``; without ``head`` it is the working tree.

    ``ref`` is how the user named the base.
    """

    top: Path
    ref: str
    base: str
    head: str | None = None

    @classmethod
    def find(cls, rootdir: Path, ref: str, head: str | None = None) -> Against:
        """Return the merge base of ``ref`` and ``head``, or of ``ref`` and HEAD.

        Raises:
            BaseError: it cannot be had.

        """
        top = refs.toplevel(rootdir)
        commit = refs.resolve(top, head) if head else None
        return cls(top, ref, refs.merge_base(top, ref, commit or "HEAD"), commit)


@dataclass(frozen=True, slots=True)
class Suite:
    """Which files are the tests' and not the code's: those are head's on both sides.

    ``modules`` are the collected modules and ``config`` pytest's configuration file, relative to the top of the
    repository; ``paths`` are the user's own words for it, files or folders.
    """

    modules: frozenset[str]
    config: str = ""
    paths: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether the file belongs to the suite."""
        parts = path.split("/")
        if path in self.modules or path == self.config or parts[-1] == "conftest.py":
            return True
        if self.paths:
            return any(path == own or path.startswith(f"{own}/") for own in self.paths)
        return not SUITE_FOLDERS.isdisjoint(parts[:-1])


@dataclass(frozen=True, slots=True)
class Sides:
    """Both sides, ready to be measured.

    ``common`` are the tests that both have with the same source; ``new`` and ``changed`` those that base lacks or has
    otherwise, with the reason; ``missing`` are base's that head lacks. ``identical``: no file differs but the tests'.
    """

    base: Side
    head: Side
    common: tuple[str, ...]
    new: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, str] = field(default_factory=dict)
    missing: tuple[str, ...] = ()
    identical: bool = False
    project: imports.Project | None = None


@dataclass(slots=True)
class Trees:
    """Makes the two trees in a workspace and finds out what they have in common.

    ``survey`` returns what each side collects, or why it did not. ``folders`` are those that pytest adds to the path.
    With ``modules`` nothing else is looked at.
    """

    against: Against
    workspace: Workspace
    command: Command
    suite: Suite
    rootdir: Path
    survey: Callable[[Sequence[Side]], list[Collected | SideError]]
    folders: tuple[Path, ...] = ()
    base_install: str = ""
    base_python: str = ""
    modules: tuple[str, ...] = ()

    def prepare(self, tests: Sequence[str]) -> Sides:
        """Return both sides, of which head collects ``tests``.

        Raises:
            BaseError: a tree cannot be made.
            SidesError: a side does not run, or both import the same file.

        """
        against, path = self.against, self.workspace.path
        base, head = path / "base", path / "head"
        checkout.export_commit(against.top, against.base, base)
        self._export_head(head)
        sides = self._side("base", base, self._python(base)), self._side("head", head, self.command.python)
        changed = changes.changed_files(against.top, against.base, against.head)
        ours = [file for file in changed if self.suite.holds(file)]
        if against.head:
            # The tests are those of the working tree, whatever commits they are asked about.
            ours = sorted(
                {*ours, *(f for f in changes.changed_files(against.top, against.base) if self.suite.holds(f))}
            )
        missing, collected_base, collected_head = self._collect(sides, base, head, ours, tests)
        _check_pythons(collected_base, collected_head)
        project = imports.describe(
            base,
            head,
            against.top,
            rootdir=self.rootdir,
            folders=self.folders,
            own_environment=bool(self.base_install or self.base_python),
        )
        check_files(collected_base.files, collected_head.files, project)
        return _sorted_out(sides, tests, collected_base, collected_head, missing, project, len(ours) == len(changed))

    def _export_head(self, head: Path) -> None:
        against = self.against
        if not against.head:
            checkout.export_worktree(against.top, head)
            return
        checkout.export_commit(against.top, against.head, head)
        suite = [file for file in changes.changed_files(against.top, against.head) if self.suite.holds(file)]
        checkout.overlay(against.top, head, suite)

    def _python(self, base: Path) -> str:
        if self.base_install:
            checkout.make_repository(self.against.top, self.against.base, base)
            folder = self.workspace.path / "environment"
            return str(second_environment(folder, base, self.base_install, os.environ, watcher=self.workspace))
        return self.base_python or self.command.python

    def _side(self, name: str, tree: Path, python: str) -> Side:
        command, top = self.command, self.against.top
        if not command.folder.resolve().is_relative_to(top):
            raise SidesError(f"pytest runs in {command.folder}, outside of the repository {top}: run it from within")
        arguments = [moved(argument, top, tree) for argument in command.arguments]
        folder = tree / command.folder.resolve().relative_to(top)
        folder.mkdir(parents=True, exist_ok=True)
        # The tool itself must not come from a tree, which may be its own; `start` puts the folder on the path afterwards.
        flags = tuple(flag for flag in command.flags if flag not in ("-B", "-P"))
        words = ("-P",) if "-P" in command.flags else ()
        whole = (python, *flags, "-P", "-m", start.__name__, *words, *arguments)
        bytecode = self.workspace.path / "bytecode" if "-B" in command.flags else None
        return Side(name, whole, folder, top, tree, bytecode, self.modules)

    def _collect(
        self, sides: tuple[Side, Side], base: Path, head: Path, ours: Sequence[str], tests: Sequence[str]
    ) -> tuple[tuple[str, ...], Collected, Collected]:
        """Let base run head's tests as far as it can; return base's own that head lacks, and what both collect."""
        if not ours:
            collected_base, collected_head = self._must(*sides)
            return (), collected_base, collected_head
        own = self.workspace.path / "own"
        own.mkdir()
        checkout.overlay(base, own, ours)
        original, *_ = self.survey(sides[:1])
        (collected_head,) = self._must(sides[1])
        checkout.overlay(head, base, ours)
        there = {test.id for test in collected_head.tests} | set(tests)
        # A base whose own tests do not run has none that could be missed.
        before = () if isinstance(original, SideError) else original.tests
        missing = tuple(test.id for test in before if test.id not in there)
        (collected,) = self.survey(sides[:1])
        if isinstance(collected, SideError):
            broken = list(ours)  # a conftest, or the configuration: base runs its own tests
            reasons = dict.fromkeys((test.split("::", 1)[0] for test in tests), str(collected))
        else:
            reasons = collected.broken
            broken = self._files_of(set(collected.broken) - set(collected_head.broken), ours)
            if not broken:
                return missing, collected, collected_head
        checkout.overlay(own, base, broken)
        (restored,) = self._must(sides[0])
        # Why base runs its own is why it lacks what only head's have.
        return missing, msgspec.structs.replace(restored, broken={**reasons, **restored.broken}), collected_head

    def _files_of(self, modules: Iterable[str], ours: Sequence[str]) -> list[str]:
        place = os.path.relpath(self.rootdir, self.against.top)
        files = {os.path.normpath(os.path.join(place, module)).replace(os.sep, "/") for module in modules}  # noqa: PTH118
        return [file for file in ours if file in files]

    def _must(self, *sides: Side) -> list[Collected]:
        found = []
        for answer in self.survey(sides):
            if isinstance(answer, SideError):
                raise SidesError(f"{answer}; nothing can be compared") from answer
            found.append(answer)
        return found


def _check_pythons(base: Collected, head: Collected) -> None:
    if base.python != head.python:
        raise SidesError(
            f"base runs Python {base.python} and head {head.python}: their times cannot be compared; "
            "give --pe-perf-base-python an interpreter of head's version"
        )


def check_files(base: Mapping[str, str], head: Mapping[str, str], project: imports.Project) -> None:
    """Check that each side imported its own code.

    Raises:
        SidesError: it did not.

    """
    shared = imports.shared_files(base, head, project)
    if shared:
        raise SidesError(imports.explain(shared, base, head, project))


def _sorted_out(
    sides: tuple[Side, Side],
    tests: Sequence[str],
    base: Collected,
    head: Collected,
    missing: tuple[str, ...],
    project: imports.Project,
    identical: bool,
) -> Sides:
    on_base = {test.id: test.source for test in base.tests}
    on_head = {test.id: test.source for test in head.tests}
    new, changed = {}, {}
    for test in tests:
        if test not in on_head:
            raise SidesError(f"head's process did not collect {test}, which this one did; nothing can be compared")
        if test not in on_base:
            why = base.broken.get(test.split("::", 1)[0])
            new[test] = f"base cannot run it: {why}" if why else "base does not have it"
        elif on_base[test] != on_head[test]:
            changed[test] = "the benchmark itself differs between base and head"
    common = tuple(test for test in tests if test not in new and test not in changed)
    modules = tuple(dict.fromkeys(test.split("::", 1)[0] for test in common))
    sides = replace(sides[0], modules=modules), replace(sides[1], modules=modules)
    return Sides(*sides, common, new, changed, missing, identical, project)
