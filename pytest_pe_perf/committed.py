"""A project as it stands in a commit: its settings and baselines, read through git and never from the working tree."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

from pytest_pe_perf.baseline.names import folder_of
from pytest_pe_perf.baseline.store import load
from pytest_pe_perf.config import PROJECT_FILE, Settings, merge, parse_table
from pytest_pe_perf.errors import BaselineError, ConfigError
from pytest_pe_perf.git import GitError, names
from pytest_pe_perf.measure.paired.refs import resolve, toplevel
from pytest_pe_perf.measure.paired.repository import content_at, fail, git
from pytest_pe_perf.model import BaselineRow, Environment, Key


@dataclass(frozen=True, slots=True)
class Committed:
    """The project in ``folder``, relative to ``top`` and ``"."`` where that is it, as it stands in ``commit``.

    ``ref`` is the user's word for the commit.
    """

    top: Path
    folder: str
    commit: str
    ref: str

    @classmethod
    def at(cls, root: Path, ref: str) -> Committed:
        """Return the project whose root directory is ``root``, as it stands in the commit that ``ref`` names.

        Raises:
            BaseError: ``root`` is in no git repository, or this clone knows no such commit.

        """
        top = toplevel(root)
        return cls(top, root.resolve().relative_to(top.resolve()).as_posix(), resolve(top, ref), ref)

    @property
    def name(self) -> str:
        """The commit for people: ``"main (1a2b3c4d5e)"``."""
        return f"{self.ref} ({self.commit[:10]})" if self.ref != self.commit else self.commit[:10]

    def path(self, name: str) -> str:
        """Return where a file of the project stands in the repository."""
        return name if self.folder == "." else f"{self.folder}/{name}"

    def content(self, name: str) -> bytes | None:
        """Return what stands in a file of the project, None where it has no such file.

        Raises:
            BaseError: git cannot read it.

        """
        return content_at(self.top, self.commit, self.path(name))

    def settings(self, *, paired: bool) -> Settings:
        """Return the settings that the commit's project file gives.

        Raises:
            BaseError: git cannot read it.
            ConfigError: it is not TOML, or a setting cannot be read.

        """
        data = self.content(PROJECT_FILE)
        file = f"{self.path(PROJECT_FILE)} of {self.name}"
        table = None if data is None else parse_table(data, file)
        try:
            return merge(table, paired=paired)
        except ConfigError as error:
            raise type(error)(f"{file}: {error.args[0]}") from error

    def baseline(self, folder: str, environment: Environment) -> dict[Key, BaselineRow]:
        """Return the rows of an environment's baseline in ``folder``; none where it has none.

        Raises:
            BaseError: git cannot read them.
            BaselineError: a file of them cannot be trusted.

        """
        place = self.path(folder_of(Path(folder), environment).as_posix())
        with tempfile.TemporaryDirectory() as room:
            # The one reader of baselines reads files: what git holds is laid out for it, nothing else is near.
            there = Path(room, environment.slug)
            there.mkdir()
            for path in self._files(".json", place):
                if path.rpartition("/")[0] != place:
                    continue
                data = content_at(self.top, self.commit, path)
                assert data is not None, "git has just listed it"
                (there / path.rpartition("/")[2]).write_bytes(data)
            try:
                return load(Path(room), environment)
            except BaselineError as error:
                said = error.args[0].replace(str(there), place).partition("; ")[0]
                raise BaselineError(f"a baseline of {self.name} cannot be used: {said}") from error

    def environments(self, folder: str) -> tuple[str, ...]:
        """Return the slugs of the environments that have baselines in ``folder``.

        Raises:
            BaseError: git cannot list them.

        """
        place = self.path(folder)
        found = [path.removeprefix(f"{place}/").split("/") for path in self._files(".json", place)]
        return tuple(sorted({parts[0] for parts in found if len(parts) == 2}))

    def modules(self) -> frozenset[str]:
        """Return the Python files of the project.

        Raises:
            BaseError: git cannot list them.

        """
        start = "" if self.folder == "." else f"{self.folder}/"
        return frozenset(path.removeprefix(start) for path in self._files(".py", self.folder))

    def _files(self, suffix: str, place: str) -> list[str]:
        where = () if place == "." else ("--", f"{place}/")
        try:
            listed = names(git(self.top, "ls-tree", "-r", "-z", "--name-only", self.commit, *where))
        except GitError as error:
            fail(f"{place} of {self.commit[:10]}", error)
        return [path for path in listed if path.endswith(suffix)]
