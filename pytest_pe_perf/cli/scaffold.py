"""What a project needs for the gate, given what it has: files in, files out. No disk, no git, no terminal."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Literal

from pytest_pe_perf.errors import UsageError

# Newest first: the versions that this package is tested with.
PYTHONS = ("3.14", "3.13", "3.12", "3.11")
# Where performance tests usually are; the first of them that holds tests is what the workflow measures.
TEST_FOLDERS = ("tests/perf", "tests/performance", "tests/benchmarks", "tests/benchmark", "perf", "benchmarks", "bench")
REQUIREMENTS = ("requirements-dev.txt", "requirements-test.txt", "requirements.txt")
# What an extra or a dependency group with the tools of the tests is usually called.
_GROUPS = ("dev", "test", "tests", "testing")
# In pytest's order. The first two kinds count even if they are empty, the others if they have a table of pytest's.
_PYTEST_FILES = {
    "pytest.toml": None,
    ".pytest.toml": None,
    "pytest.ini": None,
    ".pytest.ini": None,
    "pyproject.toml": re.compile(rb"^\[tool\.pytest[.\]]", re.MULTILINE),
    "tox.ini": re.compile(rb"^\[pytest\]", re.MULTILINE),
    "setup.cfg": re.compile(rb"^\[tool:pytest\]", re.MULTILINE),
}
CONFIGURATION = (*_PYTEST_FILES, "setup.py", ".gitignore", ".gitattributes", *REQUIREMENTS)

GITLAB_MAIN = ".gitlab-ci.yml"
_TABLE = """\
[tool.pe_perf]
# What stands here holds against a baseline and against a commit alike. Leave time, threshold and margin out, and each
# of the two has defaults of its own.
baselines = "baselines"   # what was accepted: in git, and reviewed like code
"""
# What means the same to a shell, to YAML, to git's patterns and to GitHub's expressions.
_PLAIN = re.compile(r"(?![/-])(?!.*\.\.)[\w.+/-]+", re.ASCII)
_IGNORED = re.compile(r"!?(?:\*\*)?/?\.pe-perf(?:/\**)?")
_HOST = re.compile(r"[a-z][a-z+.-]*://(?:[^@/]*@)?([^/:]+)|(?:[^@/:]+@)?([^/:]+):", re.IGNORECASE)

# The actions that workflows use: a tag can be moved, a commit cannot.
PINS = {
    "checkout": "actions/checkout@3d3c42e5aac5ba805825da76410c181273ba90b1 # v7.0.1",
    "python": "actions/setup-python@5fda3b95a4ea91299a34e894583c3862153e4b97 # v7.0.0",
    "upload": "actions/upload-artifact@bbbca2ddaa5d8feaa63e36b76fdaad77386f024f # v7.0.0",
    "download": "actions/download-artifact@3e5f45b2cfb9172054b4087a40e8e0b5a5461e7c # v8.0.1",
}

System = Literal["github", "gitlab"]
# And where the job of each stands.
_SYSTEMS: dict[System, str] = {"github": ".github/workflows", "gitlab": ".gitlab"}


@dataclass(frozen=True, slots=True)
class Project:
    """What is there.

    ``folder`` is the project's place in its repository, empty at the top. ``files`` are those of the project that
    matter here, by name; ``pipelines`` those of the repository that tell a CI system what to do, by path from its top,
    and ``folders`` the names of the folders there. ``tests`` is the folder of the performance tests, or empty, and
    ``origin`` the address that git pulls from. ``git`` is whether there is a repository at all.
    """

    folder: str
    files: Mapping[str, bytes]
    pipelines: Mapping[str, bytes]
    folders: frozenset[str]
    tests: str
    origin: str
    baselines: str
    git: bool


@dataclass(frozen=True, slots=True)
class Step:
    """A file as it is and as it should be; ``path`` is counted from the repository's top.

    ``create`` makes one, ``append`` adds to one, ``overwrite`` replaces one that differs, and ``left`` does not.
    """

    kind: Literal["create", "append", "overwrite", "left"]
    path: str
    old: bytes
    new: bytes


@dataclass(frozen=True, slots=True)
class Plan:
    """What there is to do. ``notes`` are for whoever reads the plan; ``by_hand`` is what we must not do for them."""

    systems: tuple[System, ...]
    steps: tuple[Step, ...]
    notes: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()

    @property
    def writes(self) -> tuple[Step, ...]:
        """The steps that change a file."""
        return tuple(step for step in self.steps if step.kind != "left")


def pytest_file(files: Mapping[str, bytes]) -> str:
    """Return the name of the file that configures pytest, or nothing."""
    for name, table in _PYTEST_FILES.items():
        if name in files and (table is None or table.search(files[name])):
            return name
    return ""


def recognise(project: Project) -> tuple[System, ...]:
    """Return the CI systems that the project uses, by the host of its origin, or else by what is in the repository."""
    match = _HOST.match(project.origin)
    host = (match[1] or match[2]).lower() if match else ""
    by_host: tuple[System, ...] = tuple(name for name in _SYSTEMS if name in host)
    signs: dict[System, bool] = {
        "github": ".github" in project.folders,
        "gitlab": GITLAB_MAIN in project.pipelines or ".gitlab" in project.folders,
    }
    return by_host or tuple(name for name, seen in signs.items() if seen)


def plan(
    project: Project,
    systems: Sequence[System] | None,
    templates: Mapping[str, str],
    *,
    force: bool,
    forks: bool = False,
) -> Plan:
    """Return what to do. ``systems`` of None are recognised; ``force`` overwrites a workflow that differs.

    ``forks`` is for GitHub: a job without rights measures, and another one judges. A project that has the second is
    asked no more.

    Raises:
        UsageError: something cannot be written for this project; the message says what to do instead.

    """
    if not project.git:
        if systems:
            raise UsageError(f"--ci {systems[0]}: there is no git repository here; make one with: git init")
        note = "this is not in a git repository: only the settings are written; run it again after `git init`"
        return Plan((), _settings(project), (note, *_about_pytest(project)))
    chosen = recognise(project) if systems is None else tuple(systems)
    if forks and "github" not in chosen:
        raise UsageError("--forks is for GitHub, and no workflow is written for it here: name it with --ci github")
    steps = [*_settings(project), *_ignore(project)]
    notes = _about_pytest(project)
    if _PLAIN.fullmatch(project.baselines):
        steps += _attributes(project)
    else:
        notes.append(f"no attributes for {project.baselines!r}: git's patterns cannot name it plainly")
    by_hand: list[str] = []
    for system in chosen:
        other = _gate_elsewhere(project, system)
        if other:
            notes.append(f"{other} runs the gate already: no other workflow is needed")
            continue
        new = _workflows(project, system, templates, force=force, forks=forks)
        if not project.tests and any(step.kind != "left" for step in new):
            notes.append(f"the workflow runs all tests: there are none in {TEST_FOLDERS[0]} or the like")
        steps += new
        by_hand += _include(project) if system == "gitlab" else ()
    if systems is None and not chosen:
        notes.append("no CI system was recognised: name one with --ci github or --ci gitlab")
    return Plan(chosen, tuple(steps), tuple(notes), tuple(by_hand))


# --- settings, ignore, attributes ----------------------------------------------------------------------------------


def _settings(project: Project) -> tuple[Step, ...]:
    old = project.files.get("pyproject.toml", b"")
    if "pe_perf" in _table(project, "tool"):
        return ()
    new = _appended(old, [*([""] if old.strip() else []), *_TABLE.splitlines()])
    try:
        tomllib.loads(new.decode())
    except tomllib.TOMLDecodeError as error:
        raise UsageError(
            "[tool.pe_perf] cannot be added at the end of pyproject.toml, because `tool` is an inline table there; "
            "write [tool.ruff] and the like as tables of their own"
        ) from error
    return (_addition(project, "pyproject.toml", new),)


def _ignore(project: Project) -> tuple[Step, ...]:
    # A line that takes the folder back is the user's decision too.
    if any(map(_IGNORED.fullmatch, _lines(project, ".gitignore"))):
        return ()
    return (_addition(project, ".gitignore", _appended(project.files.get(".gitignore", b""), [".pe-perf/"])),)


def _attributes(project: Project) -> tuple[Step, ...]:
    folder = project.baselines.strip("/").removeprefix("./")
    if any(line.lstrip("/").startswith(f"{folder}/") for line in _lines(project, ".gitattributes")):
        return ()
    # No merge driver: GitHub and GitLab run none, and two rows of one test are not a baseline. Nor linguist-generated,
    # which would hide from reviewers what they are to review.
    added = [f"{folder}/** text eol=lf"]
    return (_addition(project, ".gitattributes", _appended(project.files.get(".gitattributes", b""), added)),)


def _about_pytest(project: Project) -> list[str]:
    name = pytest_file(project.files)
    if name in ("", "pyproject.toml"):
        return []
    return [
        f"pytest is configured by {name}; the settings of pe-perf are read from pyproject.toml beside it all the same"
    ]


def _addition(project: Project, name: str, new: bytes) -> Step:
    old = project.files.get(name)
    return Step("create" if old is None else "append", _from_top(project, name), old or b"", new)


def _appended(old: bytes, lines: Iterable[str]) -> bytes:
    """Return ``old`` and the lines, with the line ends that ``old`` has."""
    end = b"\r\n" if b"\r\n" in old else b"\n"
    start = old if not old or old.endswith(b"\n") else old + end
    return start + b"".join(line.encode() + end for line in lines)


def _lines(project: Project, name: str) -> list[str]:
    return [line.strip() for line in project.files.get(name, b"").decode("utf-8", "replace").splitlines()]


def _from_top(project: Project, name: str) -> str:
    return str(PurePosixPath(project.folder, name))


# --- workflows -----------------------------------------------------------------------------------------------------


def _name(project: Project) -> str:
    return "-".join(["pe-perf", *re.findall(r"\w+", project.folder)])


def _path(project: Project, system: System) -> str:
    return f"{_SYSTEMS[system]}/{_name(project)}.yml"


def _gate_elsewhere(project: Project, system: System) -> str:
    """Return the pipeline of a repository that somebody has made for the gate already, or nothing."""
    if project.folder:
        return ""  # it may be that of another project in the same repository
    ours = _path(project, system)
    # Not where ours is there too: then it is kept up to date.
    named = [] if ours in project.pipelines else sorted(project.pipelines)
    places = {"github": ".github/", "gitlab": GITLAB_MAIN}
    return next((p for p in named if p.startswith(places[system]) and b"--pe-perf" in project.pipelines[p]), "")


def _workflows(
    project: Project, system: System, templates: Mapping[str, str], *, force: bool, forks: bool
) -> list[Step]:
    path = _path(project, system)
    judge = path.replace(".yml", "-judge.yml")
    forks = system == "github" and (forks or judge in project.pipelines)
    files = {path: templates[system]} | ({judge: templates["judge"]} if forks else {})
    steps = []
    for name, template in files.items():
        new = _rendered(project, template, forks=forks)
        old = project.pipelines.get(name)
        if old is None:
            steps.append(Step("create", name, b"", new))
        # A checkout may have given it the line ends of its system.
        elif old.replace(b"\r\n", b"\n") != new:
            steps.append(Step("overwrite" if force else "left", name, old, new))
    if system == "gitlab" and GITLAB_MAIN not in project.pipelines:
        steps.append(Step("create", GITLAB_MAIN, b"", f"include:\n  - local: /{path}\n".encode()))
    return steps


def _include(project: Project) -> list[str]:
    """Return what is to be added by hand so that GitLab finds the job."""
    main = project.pipelines.get(GITLAB_MAIN)
    path = _path(project, "gitlab")
    if main is None or path.encode() in main:
        return []
    if re.search(rb"^include:", main, re.MULTILINE):
        return [f"add to the list `include:` of {GITLAB_MAIN}:   - local: /{path}"]
    return [f"add to {GITLAB_MAIN}:   include: /{path}"]


def _rendered(project: Project, template: str, *, forks: bool) -> bytes:
    import jinja2

    if project.folder and not _PLAIN.fullmatch(project.folder):
        raise UsageError(
            f"a workflow cannot name the folder {project.folder!r} plainly: write one by hand, and give --ci none here"
        )
    # GitHub's own expressions have the usual brackets.
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701 - it is YAML, and all that goes in is plain
        undefined=jinja2.StrictUndefined,
        block_start_string="<%",
        block_end_string="%>",
        variable_start_string="<<",
        variable_end_string=">>",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    text = environment.from_string(template).render(
        name=_name(project),
        folder=project.folder,
        prefix=f"{project.folder}/" if project.folder else "",
        python=_python(project),
        install=_install(project),
        tests=f" {project.tests}" if project.tests else "",
        # Projects of one repository keep a comment each.
        comment_id=f" --id {_name(project)}" if project.folder else "",
        forks=forks,
        pins=PINS,
    )
    return text.encode()


def _python(project: Project) -> str:
    """Return the newest Python that the project names in its classifiers, or else allows, and that we run on."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    about = _table(project, "project")
    required = about.get("requires-python", "")
    try:
        allowed = list(SpecifierSet(required).filter(PYTHONS))
    except (InvalidSpecifier, TypeError) as error:
        raise UsageError(f"pyproject.toml: requires-python = {required!r} cannot be read") from error
    if not allowed:
        raise UsageError(
            f"pyproject.toml: requires-python = {required!r} allows no Python that pe-perf runs on: {', '.join(PYTHONS)}"
        )
    prefix = "Programming Language :: Python :: "
    named = {str(line).removeprefix(prefix) for line in about.get("classifiers", ())}
    return next((python for python in allowed if python in named), allowed[0])


def _install(project: Project) -> str:
    """Return the command that installs the project as its own developers would, and us."""
    words = ["pip", "install"]
    extras = _table(project, "project", "optional-dependencies")
    if _table(project, "project") or _table(project, "build-system") or "setup.py" in project.files:
        extra = next((name for name in _GROUPS if name in extras), "")
        # Quoted by hand: what people write there, and are used to see.
        words += ["-e", f'".[{extra}]"' if extra else "."]
    group = next((name for name in _GROUPS if name in _table(project, "dependency-groups")), "")
    if group:
        words += ["--group", group]
    elif not extras:
        words += [word for name in REQUIREMENTS if name in project.files for word in ("-r", name)][:2]
    return " ".join([*words, "pytest-pe-perf"])


def _table(project: Project, *path: str) -> dict[str, Any]:
    """Return a table of pyproject.toml, empty where there is none."""
    # That the file is TOML is known: the settings were read from it.
    found = tomllib.loads(project.files.get("pyproject.toml", b"").decode())
    for name in path:
        found = found.get(name, {})
        if not isinstance(found, dict):
            return {}
    return found
