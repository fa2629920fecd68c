"""``pe-perf init``: set a project up for the gate."""

from __future__ import annotations

import difflib
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.text import Text

    from .scaffold import Plan, Project, Step, System

_SECONDS_TO_WAIT = 10.0
_SYSTEMS: dict[str, tuple[System, ...] | None] = {
    "auto": None,
    "github": ("github",),
    "gitlab": ("gitlab",),
    "none": (),
}
_HEADS = {
    "create": "create {}",
    "append": "add to {}",
    "overwrite": "overwrite {}",
    "left": "left alone: {} is not as it would be written now; --force overwrites it",
}
_STYLES = {"+": "green", "-": "red", "@": "cyan"}


@click.command(epilog="Example: pe-perf init --dry-run")
@click.option(
    "--ci",
    type=click.Choice(list(_SYSTEMS)),
    default="auto",
    show_default=True,
    help="Whose workflow is written; auto: by the address of origin, or else by the files that are there.",
)
@click.option(
    "--forks",
    is_flag=True,
    help="On GitHub: a job without rights measures, and another one, which runs no code of the pull request, judges.",
)
@click.option("--yes", is_flag=True, help="Write without asking.")
@click.option("--dry-run", is_flag=True, help="Show what would be written and write nothing.")
@click.option("--force", is_flag=True, help="Overwrite a workflow that is not as it would be written now.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON and nothing else; asks nothing.")
def init(ci: str, forks: bool, yes: bool, dry_run: bool, force: bool, as_json: bool) -> None:
    """Set this project up for the gate: settings, what git should know, and a workflow for pull requests.

    It shows what it would change, as a diff, and asks. Settings are added to pyproject.toml, .gitignore and
    .gitattributes where they are missing; nothing that stands there is changed. A workflow that you have changed is left
    alone. Outside of a git repository only the settings are written. Where people send pull requests from forks, give
    --forks once; from then on the files say so.

    Exit status: 0 done, nothing to do, or declined, 2 usage, or something that cannot be read or written.
    """
    from pytest_pe_perf.errors import UsageError

    systems = _SYSTEMS[ci]
    where = _look(Path.cwd())
    planned = _plan(where, systems, force=force, forks=forks)
    if not as_json:
        _show(where, planned)
    _refuse_odd_places(where, planned.writes)
    if planned.writes and not dry_run and not yes:
        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise UsageError(
                "nothing was written, because nobody can be asked here; --yes writes without asking, --dry-run only shows"
            )
        if not click.confirm(f"Write {_count(planned.writes)}?"):
            click.echo("Nothing was written.")
            return
        if _plan(_look(Path.cwd()), systems, force=force, forks=forks) != planned:
            raise UsageError("nothing was written, because the files have changed while you were asked; run it again")
    written = () if dry_run else _write(where, planned.writes)
    if as_json:
        _print_json(where, planned, written)
    else:
        _say_what_happened(where, planned, written, dry_run=dry_run)


# --- what is there -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Place:
    """The project, and the folder that its paths are counted from: the top of the repository, or its own."""

    top: Path
    project: Project


def _look(start: Path) -> _Place:
    from pytest_pe_perf.config import load_settings

    from .scaffold import CONFIGURATION, Project

    top = _top(start)
    root = _root(start, top)
    pipelines = _pipelines(top) if top else {}
    project = Project(
        folder="" if top is None or root == top else root.relative_to(top).as_posix(),
        files=_files(root, CONFIGURATION),
        pipelines=pipelines,
        folders=frozenset(path.name for path in top.iterdir() if path.is_dir()) if top else frozenset(),
        tests=_tests(root),
        origin=_origin(top) if top else "",
        baselines=load_settings(root).baselines,
        git=top is not None,
    )
    return _Place(top or root, project)


def _root(start: Path, top: Path | None) -> Path:
    """Return pytest's root directory for a run in ``start``: the settings are read from there."""
    from .scaffold import CONFIGURATION, pytest_file

    above = [folder for folder in (start, *start.parents) if top is None or folder.is_relative_to(top)]
    for folder in above:
        if pytest_file(_files(folder, CONFIGURATION)):
            return folder
    for mark in ("pyproject.toml", "setup.py"):
        for folder in above:
            if (folder / mark).is_file():
                return folder
    return top or start


def _files(folder: Path, names: Sequence[str]) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in names if (folder / name).is_file()}


def _pipelines(top: Path) -> dict[str, bytes]:
    from .scaffold import GITLAB_MAIN

    found = [path for folder in (".github/workflows", ".gitlab") for path in (top / folder).glob("*.y*ml")]
    return _files(top, [GITLAB_MAIN, *(path.relative_to(top).as_posix() for path in sorted(found))])


def _tests(root: Path) -> str:
    from .scaffold import TEST_FOLDERS

    for name in TEST_FOLDERS:
        if any(next((root / name).rglob(pattern), None) for pattern in ("test_*.py", "*_test.py")):
            return name
    return ""


def _top(folder: Path) -> Path | None:
    """Return the top of the work tree that ``folder`` is in; None outside of any repository."""
    from pytest_pe_perf import git
    from pytest_pe_perf.errors import UsageError

    try:
        return Path(git.line(git.run(folder, "rev-parse", "--show-toplevel", seconds=_SECONDS_TO_WAIT)))
    except git.GitError as error:
        if "not a git repository" in error.said:
            return None
        raise UsageError(f"{folder}: git cannot say what repository this is: {error}") from error


def _origin(top: Path) -> str:
    from pytest_pe_perf import git
    from pytest_pe_perf.errors import UsageError

    try:
        return git.line(git.run(top, "config", "--get", "remote.origin.url", seconds=_SECONDS_TO_WAIT))
    except git.GitError as error:
        if error.status == 1:  # there is none
            return ""
        raise UsageError(f"git cannot say where origin is: {error}") from error


def _plan(where: _Place, systems: Sequence[System] | None, *, force: bool, forks: bool) -> Plan:
    from importlib.resources import files

    from .scaffold import plan

    templates = files(__package__) / "templates"
    names = ("github", "judge", "gitlab")
    texts = {name: (templates / f"{name}.yml.j2").read_text(encoding="utf-8") for name in names}
    return plan(where.project, systems, texts, force=force, forks=forks)


# --- writing -------------------------------------------------------------------------------------------------------


def _refuse_odd_places(where: _Place, steps: Sequence[Step]) -> None:
    """Refuse to write where something else stands in the way; a link may lead anywhere.

    Raises:
        WriteError: names all such places.

    """
    from pytest_pe_perf.errors import WriteError

    odd = list(dict.fromkeys(why for step in steps for why in _odd(where.top, Path(step.path))))
    if odd:
        raise WriteError(f"nothing was written: {'; '.join(odd)}; make it a plain one, or move it away")


def _odd(top: Path, path: Path) -> Iterator[str]:
    for part in (*reversed(path.parents[:-1]), path):
        place, kind = top / part, "file" if part == path else "folder"
        if place.is_symlink():
            yield f"{_from_here(place)} is a link"
        elif place.exists() and not (place.is_file() if kind == "file" else place.is_dir()):
            yield f"{_from_here(place)} is no {kind}"


def _write(where: _Place, steps: Sequence[Step]) -> tuple[Path, ...]:
    from pytest_pe_perf.files import write_all_atomically

    new = {where.top / step.path: step.new for step in steps}
    write_all_atomically(new)
    return tuple(new)


# --- telling -------------------------------------------------------------------------------------------------------


def _show(where: _Place, planned: Plan) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for step in planned.steps:
        head = _HEADS[step.kind].format(_from_here(where.top / step.path))
        for line in (Text(head, "yellow" if step.kind == "left" else "bold"), *_coloured(step), Text()):
            console.print(line, soft_wrap=True)
    for note in planned.notes:
        console.print(Text(f"note: {note}"), soft_wrap=True)
    for todo in planned.by_hand:
        console.print(Text(todo, "bold"), soft_wrap=True)


def _coloured(step: Step) -> Iterator[Text]:
    from rich.text import Text

    from pytest_pe_perf.report.screen import printable

    for line in _diff(step):
        yield Text(printable(line), "bold" if line.startswith(("+++", "---")) else _STYLES.get(line[:1], ""))


def _diff(step: Step) -> list[str]:
    old, new = (data.decode("utf-8", "replace").splitlines() for data in (step.old, step.new))
    names = ("/dev/null" if step.kind == "create" else f"a/{step.path}"), f"b/{step.path}"
    return list(difflib.unified_diff(old, new, *names, lineterm=""))


def _say_what_happened(where: _Place, planned: Plan, written: Sequence[Path], *, dry_run: bool) -> None:
    if not planned.writes:
        click.echo("Nothing to write." if planned.steps or planned.by_hand else "Nothing to do.")
    elif dry_run:
        click.echo("Nothing was written: this was a dry run.")
    else:
        for path in written:
            click.echo(f"wrote {_from_here(path)}")
        if where.project.git:
            click.echo(f"next: git add {shlex.join(_from_here(path) for path in written)}")


def _print_json(where: _Place, planned: Plan, written: Sequence[Path]) -> None:
    import msgspec

    content = {
        "folder": str(where.top),
        "systems": planned.systems,
        "steps": [{"kind": step.kind, "path": step.path, "diff": "\n".join(_diff(step))} for step in planned.steps],
        "notes": planned.notes,
        "by_hand": planned.by_hand,
        "written": [str(path) for path in written],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(content), indent=1))


def _count(steps: Sequence[Step]) -> str:
    return f"{len(steps)} file{'s' if len(steps) > 1 else ''}"


def _from_here(path: Path) -> str:
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
