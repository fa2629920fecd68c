"""Each side imports its own tree: real interpreters, real installations, and what is said when it cannot be."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import types
import venv
from pathlib import Path

import pytest

from pytest_pe_perf.measure.paired import imports

REPOSITORY = Path(imports.__file__).parents[3]
WORKER = """
import importlib, json, os, subprocess, sys
from pathlib import Path
from pytest_pe_perf.measure.paired import imports
original, tree, *names = sys.argv[1:]
imports.redirect(Path(original), Path(tree))
for name in names:
    importlib.import_module(name)
code = imports.child_prelude(Path(original), Path(tree)) + "import importlib\\n"
code += f"print([os.path.realpath(importlib.import_module(name).__file__) for name in {names!r}])"
child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
answer = {"files": imports.loaded_files(), "path": sys.path, "variable": os.environ.get("PYTHONPATH")}
print(json.dumps({**answer, "child": child.stdout + child.stderr}))
"""
DESCRIBE = """
import dataclasses, json, sys
from pathlib import Path
from pytest_pe_perf.measure.paired import imports
base, head, original = map(Path, sys.argv[1:])
print(json.dumps(dataclasses.asdict(imports.describe(base, head, original)), default=sorted))
"""


class Checkout:
    """A project with its two copies and an environment."""

    def __init__(self, folder: Path, python: Path | None = None):
        self.original, self.base, self.head = folder / "project", folder / "base", folder / "head"
        self.python = python or environment(folder / "env")
        self.site = site(self.python)
        self.environ = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "COV"))}
        self.environ["PYTHONPATH"] = str(REPOSITORY)

    def write(self, *names: str, text: str = "") -> None:
        for name in names:
            file = self.original / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def copy(self) -> None:
        for tree in (self.base, self.head):
            shutil.copytree(self.original, tree, ignore=shutil.ignore_patterns(".venv", "build", "*.egg-info"))

    def python_says(self, code: str, *arguments: object) -> dict:
        # Not in a tree: the working directory comes first, and would make up for what is not redirected.
        cwd = self.original.parent
        command = [str(self.python), "-c", code, *map(str, arguments)]
        done = subprocess.run(command, cwd=cwd, env=self.environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def side(self, tree: Path, *names: str) -> dict:
        return self.python_says(WORKER, self.original, tree, *names)

    def describe(self) -> imports.Project:
        said = self.python_says(DESCRIBE, self.base, self.head, self.original)
        for key in ("top_level", "installed"):
            said[key] = frozenset(said[key])
        return imports.Project(**{**said, "environments": tuple(said["environments"])})

    def shared(self, *names: str) -> list[str]:
        base, head = (self.side(tree, *names)["files"] for tree in (self.base, self.head))
        return imports.shared_files(base, head, self.describe())

    def assert_own(self, **files: str) -> None:
        """Assert that both sides, and the children of both, import these modules from their own tree."""
        sides = []
        for tree in (self.base, self.head):
            said = self.side(tree, *files)
            sides.append(said["files"])
            expected = {name: str(tree / file) for name, file in files.items()}
            assert {name: said["files"][name] for name in files} == expected
            assert said["child"].strip() == repr(list(expected.values()))
        assert imports.shared_files(*sides, self.describe()) == []


def environment(folder: Path) -> Path:
    venv.create(folder, symlinks=os.name != "nt")
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def site(python: Path) -> Path:
    folder = str(python.parent.parent)
    return Path(sysconfig.get_path("purelib", "venv", {"base": folder, "platbase": folder}))


def pip(python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return Checkout(tmp_path.resolve())


@pytest.fixture(scope="module")
def with_setuptools(tmp_path_factory) -> Path:
    """Return the interpreter of an environment that can build what it installs."""
    python = environment(tmp_path_factory.mktemp("installing") / "env")
    done = pip(python, "setuptools>=77")
    if done.returncode:
        pytest.skip(f"setuptools cannot be installed here: {done.stderr.strip()[-200:]}")
    return python


@pytest.fixture
def installing(tmp_path, with_setuptools) -> Checkout:
    return Checkout(tmp_path.resolve(), with_setuptools)


def install(checkout: Checkout, name: str, find: str, *arguments: str) -> None:
    """Install the project with setuptools; ``find`` says where its packages are."""
    checkout.write(
        "pyproject.toml",
        text=f'[build-system]\nrequires = ["setuptools"]\nbuild-backend = "setuptools.build_meta"\n'
        f'[project]\nname = "{name}"\nversion = "1"\n[tool.setuptools.packages.find]\n{find}\n',
    )
    checkout.copy()
    done = pip(checkout.python, "--no-build-isolation", "--no-deps", *arguments, str(checkout.original))
    assert done.returncode == 0, done.stderr


# Installations by setuptools itself.


def test_an_editable_installation_is_redirected(installing):
    """A finder with a MAPPING, and NAMESPACES; folders that are on the path themselves are below."""
    installing.write("flat/__init__.py", "flat/part.py", "space/mine/__init__.py", "other/__init__.py")
    install(installing, "finder", 'include = ["flat*", "space*"]\nnamespaces = true', "-e")
    finder = next(installing.site.glob("__editable___finder_*_finder.py")).read_text()
    assert re.search(r"^MAPPING.*= {'flat'", finder, re.MULTILINE)
    assert re.search(r"^NAMESPACES.*= {'space'", finder, re.MULTILINE)
    files = {"flat": "flat/__init__.py", "flat.part": "flat/part.py", "space.mine": "space/mine/__init__.py"}
    installing.assert_own(**files)


def test_a_strict_editable_installation_is_redirected(installing):
    """Its links are in a folder that git ignores, so that the trees do not have it."""
    installing.write("src/strict/__init__.py", "src/strict/part.py")
    install(installing, "strict", 'where = ["src"]', "--config-settings", "editable_mode=strict", "-e")
    assert list((installing.original / "build").glob("__editable__.*"))
    installing.assert_own(**{"strict": "src/strict/__init__.py", "strict.part": "src/strict/part.py"})


def test_an_installation_that_is_not_editable_is_found(installing):
    """Even of a package that is in none of the root folders."""
    installing.write("code/copied/__init__.py", "code/copied/part.py")
    install(installing, "copied", 'where = ["code"]')
    assert installing.shared("copied.part") == ["copied", "copied.part"]
    project = installing.describe()
    assert (project.top_level, len(project.installed)) == (frozenset(), 2)


# The same by hand, as the tools write it.


@pytest.mark.parametrize("name", ["easy-install.pth", "__editable__.pkg-1.pth", "_pkg.pth"])
def test_a_path_entry_is_redirected(checkout, name):
    checkout.write("src/pkg/__init__.py")
    checkout.copy()
    (checkout.site / name).write_text(f"{checkout.original / 'src'}\n")
    checkout.assert_own(pkg="src/pkg/__init__.py")


def test_a_checkout_behind_a_link_is_redirected(checkout):
    checkout.write("pkg.py")
    checkout.copy()
    link = checkout.original.parent / "link"
    link.symlink_to(checkout.original)
    (checkout.site / "pkg.pth").write_text(f"{link}\n")
    checkout.assert_own(pkg="pkg.py")


def test_python_path_is_redirected_for_children_too(checkout):
    checkout.write("lib/pkg.py")
    checkout.copy()
    variable = checkout.environ["PYTHONPATH"]
    checkout.environ["PYTHONPATH"] = os.pathsep.join([variable, str(checkout.original / "lib"), "relative"])
    checkout.assert_own(pkg="lib/pkg.py")
    said = checkout.side(checkout.head, "pkg")
    assert said["variable"] == os.pathsep.join([variable, str(checkout.head / "lib"), "relative"])


def test_a_finder_of_the_editables_library_is_redirected(monkeypatch, tmp_path):
    """Hatch and PDM use it; it has one table for all projects."""
    finder = types.SimpleNamespace(find_spec=lambda *_: None)
    finder._redirections = {"a": f"{tmp_path}/old/a/__init__.py", "b": "/elsewhere/b.py"}
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, finder])
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delenv("PYTHONPATH", raising=False)
    imports.redirect(tmp_path / "old", tmp_path / "new")
    new = os.path.realpath(tmp_path / "new")
    assert finder._redirections == {"a": f"{new}/a/__init__.py", "b": "/elsewhere/b.py"}


def test_an_environment_inside_the_project_stays(tmp_path):
    folder = tmp_path.resolve()
    checkout = Checkout(folder, environment(folder / "project" / ".venv"))
    checkout.write("pkg.py")
    checkout.copy()
    (checkout.site / "dependency.py").write_text("")
    (checkout.site / "pkg.pth").write_text(f"{checkout.original}\n")
    said = checkout.side(checkout.head, "pkg", "dependency")
    assert str(checkout.site) in said["path"]
    assert said["files"]["dependency"] == str(checkout.site / "dependency.py")
    assert said["files"]["pkg"] == str(checkout.head / "pkg.py")
    assert checkout.shared("pkg", "dependency") == []


@pytest.mark.parametrize(
    ("entry", "moved"),
    [
        ("/app/src", "/tree/src"),
        ("/app", "/tree"),
        ("/app/", "/tree"),
        ("/app2/src", "/app2/src"),
        ("/app/.tox/x/lib/site-packages", "/app/.tox/x/lib/site-packages"),
        ("/app/__pypackages__/3.11/lib", "/app/__pypackages__/3.11/lib"),
        ("", ""),
        ("src", "src"),
        ("__editable__.x.finder.__path_hook__", "__editable__.x.finder.__path_hook__"),
    ],
)
@pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")
def test_what_moves(entry, moved):
    assert imports._moved(entry, *imports._where(Path("/app"), Path("/tree"))) == moved


def test_a_checkout_below_the_interpreter_is_no_environment(monkeypatch, tmp_path):
    """Debian's Python lives in /usr, and people put their code into /usr/src/app."""
    original = tmp_path / "src" / "app"
    monkeypatch.setattr(sys, "prefix", str(tmp_path))
    assert os.path.realpath(tmp_path) + os.sep not in imports._environments(os.path.realpath(original))


def test_a_folder_of_an_environment_inside_the_project_stays(monkeypatch, tmp_path):
    """``pip install -e git+...`` puts its clones there."""
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    where = imports._where(tmp_path, tmp_path.parent / "tree")
    clone, ours = str(tmp_path / ".venv" / "src" / "dependency"), str(tmp_path / ".venv2" / "src")
    assert imports._moved(clone, *where) == clone
    assert imports._moved(ours, *where) == str(Path(where[1], ".venv2", "src"))


def test_a_tree_inside_the_checkout_is_not_redirected_twice(tmp_path):
    where = imports._where(tmp_path, tmp_path / ".tmp" / "head")
    once = imports._moved(str(tmp_path / "src"), *where)
    assert once == os.path.realpath(tmp_path / ".tmp" / "head" / "src")
    assert imports._moved(once, *where) == once


def test_the_prelude_loads_nothing(tmp_path):
    """It stands before an import that is timed."""
    prelude = imports.child_prelude(tmp_path / "a", tmp_path / "b")
    code = f"import sys; before = set(sys.modules)\n{prelude}print(set(sys.modules) - before)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
    assert len(prelude.splitlines()) < 15


# The project that measures itself.


def test_the_measuring_tool_is_the_same_on_both_sides(checkout):
    """One .pth, two packages, one of which is imported before anything can be redirected."""
    shutil.copytree(REPOSITORY / "pytest_pe_perf", checkout.original / "pytest_pe_perf")
    checkout.write("engine_opt/__init__.py")
    checkout.copy()
    del checkout.environ["PYTHONPATH"]
    (checkout.site / "_editable_impl_pytest_pe_perf.pth").write_text(f"{checkout.original}\n")
    sides = []
    for tree in (checkout.base, checkout.head):
        code = f"{WORKER}\nassert imports.__file__.startswith(original + os.sep)"
        said = checkout.python_says(code, checkout.original, tree, "engine_opt", "pytest_pe_perf.units")
        assert said["files"]["engine_opt"] == str(tree / "engine_opt" / "__init__.py")
        assert not [name for name in said["files"] if name.startswith("pytest_pe_perf")]
        sides.append(said["files"])
    project = checkout.python_says(DESCRIBE, checkout.base, checkout.head, checkout.original)
    assert project["top_level"] == ["engine_opt"]
    assert imports.shared_files(*sides, imports.describe(checkout.base, checkout.head, checkout.original)) == []


# What was loaded.


def test_a_module_that_was_imported_too_early_is_reported(checkout):
    """A plugin of the project's own, say."""
    checkout.write("pkg/__init__.py", "pkg/part.py")
    checkout.copy()
    (checkout.site / "early.pth").write_text(f"{checkout.original}\nimport pkg\n")
    assert checkout.shared("pkg.part") == ["pkg", "pkg.part"]


def test_a_link_in_the_environment_is_followed(checkout):
    """``flit install --symlink``."""
    checkout.write("pkg/__init__.py")
    checkout.copy()
    (checkout.site / "pkg").symlink_to(checkout.original / "pkg", target_is_directory=True)
    assert checkout.shared("pkg") == ["pkg"]


def test_loaded_files_are_those_of_neither_python_nor_ours(monkeypatch):
    class Lazy(types.ModuleType):
        def __getattribute__(self, name):
            pytest.fail(f"{name} would make it load")

    monkeypatch.setitem(sys.modules, "lazy", Lazy("lazy"))
    monkeypatch.setitem(sys.modules, "strange", 1)
    monkeypatch.setitem(sys.modules, "nothing", None)
    files = imports.loaded_files()
    assert files["pytest"] == os.path.realpath(pytest.__file__)
    assert not {"json", "os", "sys", "lazy", "strange", "nothing", "pytest_pe_perf.units"} & files.keys()


# What is the project's own.


def own(folder: Path, **settings: object) -> frozenset[str]:
    return imports.describe(folder, folder, folder, **settings).top_level


def write(folder: Path, *names: str, text: str = "") -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def test_packages_and_modules_of_the_root_folders(tmp_path):
    write(tmp_path, "flat/__init__.py", "flat/_vendor/packaging/__init__.py", "module.py", "fast.pyx")
    write(tmp_path, "src/inner/__init__.py", "python/mixed/__init__.py", "src/single.py", "compiled.abi3.so")
    write(tmp_path, "tests/__init__.py", "docs/__init__.py", "benchmarks/__init__.py", "examples/__init__.py")
    write(tmp_path, "setup.py", "conftest.py", "noxfile.py", "test_x.py", "x_test.py", "notes.txt", "a-b.py")
    write(tmp_path, "plain/module.py", "build/lib/flat/__init__.py", "flat.egg-info/x.py")
    assert own(tmp_path) == {"flat", "module", "fast", "inner", "mixed", "single", "compiled"}


def test_below_a_namespace_only_what_is_here(tmp_path):
    """``google`` belongs to many."""
    write(tmp_path, "src/google/cloud/mine/__init__.py", "src/google/cloud/mine/deep.py", "src/google/thing.py")
    write(tmp_path, "old/mine/__init__.py")
    write(tmp_path, "old/__init__.py", text="__path__ = __import__('pkgutil').extend_path(__path__, __name__)")
    assert own(tmp_path) == {"google.cloud.mine", "google.thing", "old.mine"}


def test_a_package_called_src_is_a_package(tmp_path):
    write(tmp_path, "src/__init__.py", "src/yaml/__init__.py")
    assert own(tmp_path) == {"src"}


def test_copies_of_dependencies_are_not_the_projects(tmp_path):
    """Where they are on the path they come first, and pytest may have imported the environment's before."""
    write(tmp_path, "lib/pluggy/__init__.py", "lib/mine.py", "more/packaging/__init__.py", "more/ours/__init__.py")
    assert own(tmp_path, folders=["more", Path("/elsewhere")]) == {"mine", "ours"}


def test_a_project_below_the_top_of_its_repository(tmp_path):
    write(tmp_path, "a/pkg/__init__.py", "b/other/__init__.py", "a/code/third.py")
    settings = {"rootdir": tmp_path / "a", "folders": [tmp_path / "a" / "code"]}
    assert own(tmp_path, **settings) == {"pkg", "third"}


def distribution(site: Path, name: str, url: dict, *files: str) -> None:
    write(site, *files)
    info = site / f"{name}-1.dist-info"
    write(info, "METADATA", text=f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
    write(info, "RECORD", text="".join(f"{file},,\n" for file in files))
    write(info, "direct_url.json", text=json.dumps(url))


def test_a_namespace_package_that_is_not_editable_is_found(checkout):
    checkout.write("src/space/mine/__init__.py")
    checkout.copy()
    write(checkout.site, "space/mine/__init__.py", "space/theirs/__init__.py")
    assert checkout.shared("space.mine", "space.theirs") == ["space.mine"]


def test_names_that_others_use_too_are_not_reported(checkout):
    checkout.write("pkg/__init__.py", "pkg/_vendor/packaging/__init__.py", "tests/__init__.py", "tests/x.py")
    checkout.copy()
    write(checkout.site, "packaging/__init__.py", "tests/__init__.py")
    (checkout.site / "pkg.pth").write_text(f"{checkout.original}\n")
    for tree in (checkout.base, checkout.head):
        shutil.rmtree(tree / "tests")
    assert checkout.shared("pkg._vendor.packaging", "packaging", "tests") == []


def test_what_was_installed_from_the_checkout(monkeypatch, tmp_path):
    project, site = tmp_path / "project", tmp_path / "site-packages"
    write(project, "mine.py")
    here, editable = project.as_uri(), {"editable": True}
    distribution(site, "plain", {"url": here, "dir_info": {}}, "plain.py", "plain.txt")
    distribution(site, "links", {"url": here, "dir_info": editable}, "__editable___links_finder.py")
    distribution(site, "rust", {"url": here, "dir_info": editable}, "rust.abi3.so", "rust_finder.py")
    distribution(site, "wheel", {"url": f"{here}/dist/w.whl", "archive_info": {}}, "mine.py")
    distribution(site, "vendored", {"url": f"{here}/vendor/v.whl", "archive_info": {}}, "vendored.py")
    distribution(site, "far", {"url": tmp_path.as_uri(), "dir_info": {}}, "far.py")
    distribution(site, "git", {"url": "https://example.org/x.git", "vcs_info": {}}, "git.py")
    monkeypatch.setattr(sys, "path", [str(site), *sys.path])
    installed = imports.describe(project, project, project).installed
    assert {Path(file).name for file in installed} == {"plain.py", "rust.abi3.so", "mine.py"}


# The rule, on plain values.

PLACES = {"base": "/t/base", "head": "/t/head", "original": "/p", "environments": ("/site-packages/", "/p/.venv/")}
PROJECT = imports.Project(**PLACES, top_level=frozenset({"pkg", "ns.mine"}), installed=frozenset({"/s/x.so"}))
APART = imports.Project(**PLACES, top_level=PROJECT.top_level, installed=PROJECT.installed, own_environment=True)
pytestmark = pytest.mark.skipif(os.name == "nt", reason="paths of POSIX")


@pytest.mark.parametrize(
    ("name", "base", "head", "bad", "bad_apart"),
    [
        ("pkg", "/t/base/pkg.py", "/t/head/pkg.py", False, False),
        ("pkg", "/s/pkg.py", "/s/pkg.py", True, True),
        ("pkg.a.b", "/s/pkg/a/b.py", "/s/pkg/a/b.py", True, True),
        ("pkg", "/s/pkg.py", "/t/head/pkg.py", True, False),
        ("pkg", "/e/pkg.py", "/s/pkg.py", True, False),
        ("pkg", None, "/s/pkg.py", True, False),
        ("pkg", "/t/head/pkg.py", "/t/head/pkg.py", True, True),
        ("helper", "/t/head/helper.py", "/t/head/helper.py", True, True),
        ("helper", "/t/base/helper.py", "/t/base/helper.py", True, True),
        ("helper", "/p/tools/helper.py", "/p/tools/helper.py", True, True),
        # A compiled package that is editable: the head is the checkout, but the base must not be.
        ("pkg", "/e/pkg.so", "/p/build/pkg.so", True, False),
        ("pkg", "/p/build/pkg.so", "/s/pkg.so", True, True),
        ("x", "/s/x.so", "/s/x.so", True, True),
        ("pkgs", "/s/pkgs.py", "/s/pkgs.py", False, False),
        ("numpy", "/s/numpy.py", "/s/numpy.py", False, False),
        ("numpy", "/p/.venv/lib/numpy.py", "/p/.venv/lib/numpy.py", False, False),
        ("numpy", "/p/.nox/site-packages/numpy.py", "/p/.nox/site-packages/numpy.py", False, False),
        ("ns", "/s/ns/__init__.py", "/s/ns/__init__.py", False, False),
        ("ns.mine.a", "/s/ns/mine/a.py", "/s/ns/mine/a.py", True, True),
        ("ns.theirs", "/s/ns/theirs.py", "/s/ns/theirs.py", False, False),
    ],
)
def test_the_rule(name, base, head, bad, bad_apart):
    sides = [{name: file} if file else {} for file in (base, head)]
    assert imports.shared_files(*sides, PROJECT) == [name] * bad
    assert imports.shared_files(*sides, APART) == [name] * bad_apart


@pytest.mark.parametrize(
    ("base", "head", "bad"),
    [
        ("x = 1", "x = 1", []),
        # The tree's own copy is what should have been measured, and it is not what was imported.
        ("x = 1", "x = 2", ["copied"]),
        (None, "x = 2", ["copied"]),
        ("x = 2", None, ["copied"]),
        # One side's own copy is what was imported, to the byte; the other has none, or lost it.
        (None, "x = 0", []),
        ("x = 0", None, []),
        ("x = 0", "x = 1", ["copied"]),
        (None, None, ["copied"]),
    ],
)
@pytest.mark.parametrize("file", ["copied.py", "src/copied.py", "copied/__init__.py"])
def test_a_copied_dependency_counts_where_a_tree_has_another_than_was_imported(tmp_path, file, base, head, bad):
    imported = tmp_path / "site" / file
    write(tmp_path, f"site/{file}", text="x = 0")
    for tree, text in (("base", base), ("head", head)):
        if text:
            write(tmp_path, f"{tree}/{file}", text=text)
    project = imports.Project(
        str(tmp_path / "base"), str(tmp_path / "head"), "/p", frozenset({"copied", "own"}), folders=("", "src")
    )
    sides = [{"copied": str(imported), "own": str(tmp_path / tree / "own.py")} for tree in ("base", "head")]
    assert imports.shared_files(*sides, project) == bad
    alone = [{"copied": str(imported)}] * 2
    assert imports.shared_files(*alone, project) == ["copied"]


@pytest.mark.parametrize(("deeper", "bad"), [("y = 1", []), ("y = 2", ["copied", "copied.part"])])
def test_what_an_imported_module_could_import_later_counts_too(tmp_path, deeper, bad):
    write(tmp_path, "base/copied/__init__.py", "head/copied/__init__.py", "site/copied/__init__.py", text="x = 0")
    write(tmp_path, "base/copied/part.py", text="y = 1")
    write(tmp_path, "head/copied/part.py", text=deeper)
    write(tmp_path, "site/copied/part.py", text="y = 0")
    project = imports.Project(
        str(tmp_path / "base"), str(tmp_path / "head"), "/p", frozenset({"copied", "own"}), folders=("",)
    )
    site = tmp_path / "site" / "copied"
    loaded = {"copied": str(site / "__init__.py"), "copied.part": str(site / "part.py")}
    sides = [loaded | {"own": str(tmp_path / tree / "own.py")} for tree in ("base", "head")]
    assert imports.shared_files(*sides, project) == bad


def test_the_message_names_the_highest_modules_and_what_to_do():
    files = {"pkg": "/s/pkg/__init__.py", "pkg.part": "/s/pkg/part.py"}
    text = imports.explain(["pkg", "pkg.part"], files, files, PROJECT)
    assert text == (
        "base and head import the same file, so there is nothing to compare: pkg -> /s/pkg/__init__.py. What to do: "
        "install the project editable (pip install -e .), or let pytest find it in the tree (pythonpath = "
        '["src"] in the settings of pytest); if it is a compiled package, give the base an environment of its own: '
        'base_install = "pip install ." in [tool.pe_perf]'
    )


def test_the_message_about_one_side_and_about_many_modules():
    base = {name: f"/p/{name}.py" for name in "abcdef"}
    head = {name: f"/t/head/{name}.py" for name in "abcdef"}
    text = imports.explain([*"abcdef"], base, head, PROJECT)
    assert text.startswith("a side imports the project from outside its own tree")
    assert "a -> base: /p/a.py, head: /t/head/a.py; b -> " in text
    assert "; and 2 more. What to do: install" in text
    assert "imported before" in imports.explain(["a"], base, {}, PROJECT)
    assert "see that base_install" in imports.explain(["a"], base, {}, APART)
