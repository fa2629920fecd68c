"""Each side imports its own tree: paths are led there before the project is imported, and checked afterwards.

The base and the head are two copies of one checkout, but the environment knows the checkout alone: an editable
installation points there, and so may PYTHONPATH. Left alone, both sides would import the same file and measure the
same code twice, which looks like "nothing changed".
"""

from __future__ import annotations

import importlib
import importlib.machinery
import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TOOL = "pytest_pe_perf"
# Folders of these names hold an environment, wherever they are: a virtual one may live inside the project.
_ENVIRONMENTS = ("site-packages", "dist-packages", "__pypackages__")
_NOT_PACKAGES = frozenset({"test", "tests", "benchmark", "benchmarks", "docs", "examples"})
_NOT_MODULES = frozenset({"conftest", "setup", "noxfile", "__init__", "__main__"})
_CODE = (".py", ".pyx", *importlib.machinery.EXTENSION_SUFFIXES)
_EXTENSIONS = tuple(importlib.machinery.EXTENSION_SUFFIXES)
_SHOWN = 4


@dataclass(frozen=True, slots=True)
class Project:
    """What is the project's own, and where it may come from. Paths are absolute and real.

    ``top_level`` are names of modules, dotted below a namespace package: others may own the rest of the namespace.
    ``installed`` are the files that were put into the environment from the checkout. ``environments`` are parts of
    paths inside of which a file is an environment's. With ``own_environment`` the base has an environment of its own.
    ``folders`` are those of a tree, relative to it, that the top-level modules stand in.
    """

    base: str
    head: str
    original: str
    top_level: frozenset[str]
    installed: frozenset[str] = frozenset()
    environments: tuple[str, ...] = ()
    own_environment: bool = False
    folders: tuple[str, ...] = ()


def redirect(original: Path, tree: Path) -> None:
    """Let this process, and those it starts, import from ``tree`` what they would import from ``original``.

    To be called before anything of the project is imported: what is loaded already stays what it is. Finders of
    compiled editable installations are left alone, as a tree holds no compiled files; ``shared_files`` tells.
    """
    where = _where(original, tree)
    _move(where, _link_trees(where[0]))
    variable = os.environ.get("PYTHONPATH")
    if variable:
        moved = (_moved(entry, *where) for entry in variable.split(os.pathsep))
        os.environ["PYTHONPATH"] = os.pathsep.join(moved)
    importlib.invalidate_caches()


def child_prelude(original: Path, tree: Path) -> str:
    """Return Python source that does in a fresh interpreter, this one's twin, what ``redirect`` does here.

    It imports nothing that an interpreter has not loaded by itself.
    """
    where = _where(original, tree)
    functions = inspect.getsource(_moved) + inspect.getsource(_move)
    source = "\n".join(line for line in functions.splitlines() if line.strip())
    return f"import os, sys\n{source}\n_move({where!r}, {_link_trees(where[0])!r})\n"


# The next two are run by fresh interpreters from their source: builtins, os and sys are all they may use.
# Relative entries start from the working directory, which is in the tree already.
def _moved(path: str, original: str, tree: str, stays: list[str]) -> str:
    real = os.path.realpath(path) + os.sep if isinstance(path, str) and os.path.isabs(path) else ""  # noqa: PTH117
    ours = real.startswith(original + os.sep) and not any(part in real for part in stays)
    return tree + real[len(original) : -1] if ours else path


def _move(where: tuple[str, str, list[str]], links: dict[str, list[str]]) -> None:
    sys.path[:] = [_moved(source, *where) for entry in sys.path for source in links.get(entry, [entry])]
    finders = [*sys.meta_path, *(sys.modules[name] for name in sys.modules if name.startswith("__editable__"))]
    names = ("MAPPING", "NAMESPACES", "_redirections")
    for table in [getattr(finder, name, {}) for finder in finders for name in names]:
        for key, value in table.items():
            table[key] = [_moved(path, *where) for path in value] if type(value) is list else _moved(value, *where)
    sys.path_importer_cache.clear()


def _where(original: Path, tree: Path) -> tuple[str, str, list[str]]:
    """Return the real paths of both, and what stays where it is; a tree may lie inside the checkout."""
    old, new = os.path.realpath(original), os.path.realpath(tree)
    return old, new, [*_environments(old), new + os.sep]


def _environments(original: str) -> list[str]:
    """Return parts of paths that tell an environment from the project.

    A prefix above the checkout tells nothing: ``/usr/src/app`` is no environment because Python lives in ``/usr``.
    """
    named = [f"{os.sep}{name}{os.sep}" for name in _ENVIRONMENTS]
    folders = {os.path.realpath(folder) for folder in (sys.prefix, sys.base_prefix, Path(os.__file__).parent)}
    inside = sorted(folder + os.sep for folder in folders if folder != original and _inside(folder, original))
    return [*(part for part in named if part not in original + os.sep), *inside]


def _link_trees(original: str) -> dict[str, list[str]]:
    """Map setuptools' strict editable installations to the folders that they link to.

    Such a one is a folder of links below ``build``, which git ignores, so that no tree has it.
    """
    found = {}
    for folder in sys.path:
        for file in Path(folder).glob("__editable__.*.pth"):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                links = os.path.normpath(Path(folder, line.strip()))
                strict = Path(links).name.startswith("__editable__.")
                if strict and _inside(os.path.realpath(links), original):
                    found[links] = _linked(Path(links)) or [links]
    return found


def _linked(links: Path) -> list[str]:
    """Return the folders that the files below ``links`` are links to, each once."""
    found: dict[str, None] = {}
    project = links.parent.parent
    for file in sorted(links.rglob("*")):
        tail = str(file.relative_to(links))
        target = os.path.realpath(file)
        if file.is_symlink() and target.endswith(os.sep + tail):
            found[target.removesuffix(os.sep + tail)] = None
        elif file.is_file():
            # Hard links, where the system has no others, do not say where they lead.
            guesses = (project / name for name in ("", "src", "lib", "python"))
            found |= {str(root): None for root in guesses if (root / tail).exists() and file.samefile(root / tail)}
    return list(found)


def loaded_files() -> dict[str, str]:
    """Return the modules that this process has imported and the real paths of their files.

    The standard library and this package are left out: the tool that measures is the same on both sides.
    """
    tool, standard = os.path.realpath(Path(__file__).parents[2]), os.path.realpath(Path(os.__file__).parent)
    found = {}
    for name, module in list(sys.modules.items()):
        file = _file_of(module)
        if file is None or _names(name, {_TOOL}) or _inside(file, tool):
            continue
        if not _inside(file, standard) or any(f"{os.sep}{part}{os.sep}" in file for part in _ENVIRONMENTS):
            found[name] = file
    return found


def _file_of(module: object) -> str | None:
    try:
        # Not getattr: it would make a lazy module load.
        values = object.__getattribute__(module, "__dict__")
    except AttributeError:
        return None
    file = values.get("__file__") or getattr(values.get("__spec__"), "origin", None)
    return os.path.realpath(file) if isinstance(file, str) and Path(file).is_absolute() else None


def describe(
    base: Path,
    head: Path,
    original: Path,
    *,
    rootdir: Path | None = None,
    folders: Iterable[Path] = (),
    own_environment: bool = False,
) -> Project:
    """Find out what the project's own modules are, in this interpreter's environment.

    ``base`` and ``head`` are the copies of the checkout ``original``; ``rootdir`` is pytest's, and ``folders`` are
    those that it adds to the path. They may be given inside the checkout or relative to it.
    """
    old = os.path.realpath(original)
    root = _relative(rootdir or original, old) or ""
    below = ("src", "python", "lib")
    others = [relative for folder in folders if (relative := _relative(folder, old)) is not None]
    sure: set[str] = set()
    perhaps: set[str] = set()
    for tree in (base, head):
        sure |= _importable(tree / root)
        for name in below:
            folder = tree / root / name
            if not (folder / "__init__.py").exists():
                # What people put into lib is not always theirs.
                target = perhaps if name == "lib" else sure
                target |= _importable(folder, namespaces=name == "src")
        perhaps.update(*(_importable(tree / folder) for folder in others))
    return Project(
        base=os.path.realpath(base),
        head=os.path.realpath(head),
        original=old,
        top_level=frozenset(sure | {name for name in perhaps if not _in_environment(name)}) - {_TOOL},
        installed=frozenset(_installed(old, sure | perhaps)),
        environments=tuple(_environments(old)),
        own_environment=own_environment,
        folders=tuple(dict.fromkeys([root, *(str(Path(root, name)) for name in below), *others])),
    )


def _relative(folder: Path, original: str) -> str | None:
    """Return the place of ``folder`` in the checkout, or None if it is somewhere else."""
    path = os.path.realpath(Path(original, folder))
    return os.path.relpath(path, original) if _inside(path, original) else None


def _importable(folder: Path, *, namespaces: bool = False) -> set[str]:
    """Return the names of the packages and modules in ``folder``; with ``namespaces`` also those below plain folders.

    Names that every second project has at its root are left out: somebody else's ``tests`` may be installed.
    """
    found: set[str] = set()
    for path in _entries(folder):
        name = path.name.partition(".")[0]
        if not path.is_dir():
            if path.name.endswith(_CODE) and name not in _NOT_MODULES and not _is_test(name):
                found.add(name)
        elif name in _NOT_PACKAGES or "." in path.name:
            continue
        elif (path / "__init__.py").exists() and not _shares_its_name(path / "__init__.py"):
            found.add(name)
        elif (path / "__init__.py").exists() or (namespaces and not path.is_symlink()):
            found |= {f"{name}.{below}" for below in _importable(path, namespaces=True)}
    return found


def _entries(folder: Path) -> Iterator[Path]:
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    yield from (path for path in paths if path.name.partition(".")[0].isidentifier())


def _is_test(name: str) -> bool:
    return name.startswith("test_") or name.endswith("_test")


def _shares_its_name(init: Path) -> bool:
    """Whether this is a namespace package of the old kind, which other distributions add to."""
    try:
        text = init.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return "extend_path(" in text or "declare_namespace(" in text


def _in_environment(name: str) -> bool:
    """Whether the environment has a module of this name, as when the project carries a copy of a dependency."""
    paths = [path for path in sys.path if not set(_ENVIRONMENTS).isdisjoint(Path(path).parts)]
    return importlib.machinery.PathFinder.find_spec(name.partition(".")[0], paths) is not None


def _installed(original: str, names: set[str]) -> Iterator[str]:
    """Yield the files of code that were installed into this environment from the checkout, see PEP 610."""
    import json
    from importlib import metadata
    from urllib.parse import urlsplit
    from urllib.request import url2pathname

    for distribution in metadata.distributions():
        source = json.loads(distribution.read_text("direct_url.json") or "{}")
        url = urlsplit(source.get("url", ""))
        if url.scheme != "file" or not _inside(os.path.realpath(url2pathname(url.path)), original):
            continue
        files = [file for file in distribution.files or () if file.name.endswith(_CODE)]
        if source.get("dir_info", {}).get("editable"):
            # Its Python files are links and finders, but compiled modules may have been copied.
            files = [file for file in files if file.name.endswith(_EXTENSIONS)]
        if "dir_info" not in source and names.isdisjoint(file.parts[0].partition(".")[0] for file in files):
            # A dependency's archive that is kept in the checkout.
            continue
        yield from (os.path.realpath(str(distribution.locate_file(file))) for file in files)


def shared_files(base: Mapping[str, str], head: Mapping[str, str], project: Project) -> list[str]:
    """Return the names of the project's modules that a side did not import from where it should, sorted.

    That is its own tree. If the base has an environment of its own, a side may import from elsewhere, but not both
    from one file, none from the other's tree, and the base not from the checkout, which is the head's.
    """
    if project.own_environment:
        bad = _one_file(base, head, project)
        bad |= _inside_of(base, (project.head, project.original), project, project.base)
        return sorted(bad | _inside_of(head, (project.base,), project, project.head))
    return sorted(_strangers(base, project.base, project) | _strangers(head, project.head, project))


def _one_file(base: Mapping[str, str], head: Mapping[str, str], project: Project) -> set[str]:
    same = {name for name in base.keys() & head.keys() if base[name] == head[name]}
    places = (project.original,)
    return {name for name in same if _is_own(name, base[name], project)} | (
        same & _inside_of(base, places, project, project.base)
    )


def _strangers(files: Mapping[str, str], tree: str, project: Project) -> set[str]:
    """Return the project's modules of one side that are not of its tree."""
    places = (project.original, project.base, project.head)
    own = {name for name, file in files.items() if not _inside(file, tree) and _is_own(name, file, project)}
    if any(_inside(file, tree) and _names(name, project.top_level) for name, file in files.items()):
        # The side does measure its tree. The rest are copies of dependencies that pytest had imported before.
        own -= {name for name in own if files[name] not in project.installed and _as_good(name, files, tree, project)}
    return own | _inside_of(files, places, project, tree)


def _is_own(name: str, file: str, project: Project) -> bool:
    return file in project.installed or _names(name, project.top_level)


def _as_good(name: str, files: Mapping[str, str], tree: str, project: Project) -> bool:
    """Whether a module from outside ``tree`` is as good as the tree's own.

    That is where the tree has none, where both trees have the same, or where the one imported is the tree's to the byte.
    """
    owner = next(each for each in project.top_level if _names(name, {each}))
    base, head = (_copies(owner, each, project) for each in (project.base, project.head))
    own = base if tree == project.base else head
    if base == head or not own:
        return bool(base or head)
    folders = [files[name].removesuffix(path) for path in own if files[name].endswith(os.sep + path)]
    return any(all(_contents(folder + path) == code for path, code in own.items()) for folder in folders)


def _contents(path: str) -> bytes | None:
    return Path(path).read_bytes() if Path(path).is_file() else None


def _copies(owner: str, tree: str, project: Project) -> dict[str, bytes]:
    """Return the code of a top-level module in a tree, by its path below the folder that it can be imported from."""
    found: dict[str, bytes] = {}
    for folder in (Path(tree, each) for each in project.folders):
        place = folder.joinpath(*owner.split("."))
        files = [*place.rglob("*"), *(Path(f"{place}{end}") for end in _CODE)]
        found |= {
            str(file.relative_to(folder)): file.read_bytes()
            for file in files
            if file.is_file() and "__pycache__" not in file.parts
        }
    return found


def _inside_of(files: Mapping[str, str], places: Sequence[str], project: Project, tree: str) -> set[str]:
    """Return the modules whose file is in one of ``places``, but neither in ``tree`` nor in an environment."""
    return {
        name
        for name, file in files.items()
        if not _inside(file, tree)
        and any(_inside(file, place) for place in places)
        and not any(part in file for part in project.environments)
    }


def _names(name: str, owners: Iterable[str]) -> bool:
    """Whether ``name`` is one of ``owners`` or a module below one."""
    if name in owners:
        return True
    parent = name.rpartition(".")[0]
    return bool(parent) and _names(parent, owners)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def explain(names: Sequence[str], base: Mapping[str, str], head: Mapping[str, str], project: Project) -> str:
    """Say which of the project's modules the sides did not import from their own trees, and what to do."""
    highest = [name for name in names if not _names(name.rpartition(".")[0], names)]
    listed = "; ".join(_whence(name, base, head) for name in highest[:_SHOWN])
    more = f"; and {len(highest) - _SHOWN} more" if len(highest) > _SHOWN else ""
    same = any(base.get(name) == head.get(name) for name in names)
    what = "base and head import the same file" if same else "a side imports the project from outside its own tree"
    return f"{what}, so there is nothing to compare: {listed}{more}. {_advice(highest, base, head, project)}"


def _whence(name: str, base: Mapping[str, str], head: Mapping[str, str]) -> str:
    if base.get(name) == head.get(name):
        return f"{name} -> {base[name]}"
    sides = [f"{side}: {files[name]}" for side, files in (("base", base), ("head", head)) if name in files]
    return f"{name} -> {', '.join(sides)}"


def _advice(names: Sequence[str], base: Mapping[str, str], head: Mapping[str, str], project: Project) -> str:
    last = (
        'give the base an environment of its own: base_install = "pip install ." in [tool.pe_perf]'
        if not project.own_environment
        else "see that base_install installs the base's tree, not the checkout"
    )
    files = [side[name] for side in (base, head) for name in names if name in side]
    if all(_inside(file, project.original) for file in files):
        return (
            "The files are the checkout's: they were imported before the base and the head were told apart (a pytest "
            "plugin of the project is), or a compiled package is installed editable. What to do: " + last
        )
    return (
        "What to do: install the project editable (pip install -e .), or let pytest find it in the tree "
        '(pythonpath = ["src"] in the settings of pytest); if it is a compiled package, ' + last
    )
