"""Two commits side by side: each imports its own code, both run the tests of head, and what cannot be told apart is said."""

from __future__ import annotations

import shutil
import sys
import sysconfig
from pathlib import Path

import iniconfig
import pluggy
import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")

SHOP = """
def work():
    return bytes(600)

def steady():
    return bytes(600)
"""
MORE = SHOP.replace("bytes(600)", "bytes(600), bytes(601)", 1)
TEST = """
import shop

def test_work(pe_memory):
    pe_memory(shop.work)
"""
SOURCES = '[tool.pytest.ini_options]\npythonpath = ["src"]\n'


# Base and head have different tests.

OWN = """
import os

import helper
import shop

def test_work(pe_memory):
    assert helper.SIZE == {size}
    # A side runs in its tree.
    assert shop.__file__ == os.path.abspath("src/shop/__init__.py")
    pe_memory(shop.work)

def test_rewritten(pe_memory):
    {body}
    pe_memory(shop.steady)

def test_{name}(pe_memory):
    pe_memory(shop.steady)
"""
FALLS_BACK = """
import shop
{imports}

def test_as_before(pe_memory):
    pe_memory(shop.work)

def test_changed(pe_memory):
    {body}
    pe_memory(shop.steady)
{more}
"""
STARTS = """
import os
import subprocess
import sys

import shop

CODE = "import shop; print(shop.__file__)"

def test_own_side(pe_latency):
    assert shop.__file__ == os.path.abspath("src/shop/__init__.py")
    done = pe_latency(subprocess.run, [sys.executable, "-c", CODE], capture_output=True, text=True)
    assert done.stdout.strip() == shop.__file__, done.stderr
"""


@pytest.fixture(scope="module")
def other_tests(shared_repository):
    project = shared_repository
    project.settings(SOURCES)
    project.write("src/shop/__init__.py", SHOP)
    project.write("tests/helper.py", "SIZE = 1\n")
    project.write("tests/test_own.py", OWN.format(size=1, body="pass", name="only_on_base"))
    project.write("tests/test_falls_back.py", FALLS_BACK.format(imports="", body="pass", more=""))
    project.commit()
    project.write("src/shop/__init__.py", MORE)
    project.write("src/shop/extra.py", "def work():\n    return 1\n")
    project.write("tests/helper.py", "SIZE = 2\n")
    project.write("tests/test_own.py", OWN.format(size=2, body="assert shop", name="only_on_head"))
    more = "\ndef test_of_head(pe_memory):\n    pe_memory(shop.extra.work)\n"
    project.write(
        "tests/test_falls_back.py", FALLS_BACK.format(imports="import shop.extra", body="assert shop", more=more)
    )
    project.write("tests/test_new_file.py", TEST)
    return project, project.decided("main", "--junitxml=junit.xml")


def test_each_side_runs_its_own_code_with_head_s_tests(other_tests):
    """In a src layout each side imports its tree; helpers and rewritten benchmarks are head's on both."""
    project, done = other_tests
    assert done.status == 1, done.out
    worst, reasons = project.worst(), project.reasons()
    assert worst["test_work"] == "regressed", reasons
    assert project.verdicts()["test_work", "", "allocations"] == "regressed"
    assert worst["test_rewritten"] == "unchanged"


def test_a_module_that_base_cannot_import_is_base_s_own_there(other_tests):
    """Its tests that are as before are compared, and the one that needs head's code is new."""
    project, _ = other_tests
    worst, reasons = project.worst(), project.reasons()
    assert worst["test_as_before"] == "regressed"
    assert worst["test_of_head"] == "new"
    assert reasons["test_of_head latency"].startswith("base cannot run it: collecting its module failed: ")


def test_new_changed_and_missing_tests_are_named(other_tests):
    """A benchmark whose body differs there is not compared, one that base lacks is new, one that head lacks is missing."""
    project, _ = other_tests
    worst, outcomes = project.worst(), project.outcomes()
    assert worst["test_changed"] == "not comparable"
    assert worst["test_only_on_base"] == "missing"
    assert worst["test_only_on_head"] == "unchanged"  # head's tests run on base's code: base has it now too
    assert {test for test, outcome in outcomes.items() if outcome != "passed"} == {"test_work", "test_as_before"}


def test_a_base_that_head_s_conftest_does_not_run_on_runs_its_own_tests(repository):
    """A conftest that needs what only head has: base keeps its own, and the tests that are the same are compared."""
    repository.write("shop.py", SHOP)
    repository.write("conftest.py", "")
    repository.write("test_it.py", TEST)
    repository.commit()
    repository.write("shop.py", MORE + "\nSETTING = 1\n")
    repository.write("conftest.py", "import shop\nassert shop.SETTING\n")
    repository.write("test_it.py", TEST + "\ndef test_new(pe_memory):\n    pe_memory(shop.steady)\n")
    done = repository.against("main")
    assert done.status == 1, done.out
    assert repository.worst() == {"test_work": "regressed", "test_new": "new"}
    assert "AttributeError" in repository.reasons()["test_new latency"]


def test_a_base_without_our_settings_and_tests_has_nothing_to_compare(repository):
    """Where the base knows nothing of us and cannot import a test, all are new, and why is said: exit status 0."""
    (repository.folder / "pyproject.toml").unlink()
    repository.write("other.py", "")
    repository.commit()
    repository.settings("")
    repository.write("shop.py", SHOP)
    repository.write("test_it.py", TEST)
    done = repository.against("main")
    assert done.status == 0, done.out
    assert repository.worst() == {"test_work": "new"}
    why = repository.reasons()["test_work latency"]
    assert why.startswith("base cannot run it: collecting its module failed: ModuleNotFoundError")


# Where the code is imported from.


@pytest.mark.slow
def test_an_editable_installation_is_led_to_each_tree(repository):
    """A .pth file of the environment leads to the checkout, but each side imports its own, and so do its processes."""
    environment = repository.folder.parent / "environment"
    repository.command(sys.executable, "-m", "venv", "--without-pip", str(environment))
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(environment)}))
    repository.write("src/shop/__init__.py", SHOP)
    repository.write("test_it.py", TEST)
    repository.write("test_starts.py", STARTS)
    repository.commit()
    known = [path for path in sys.path if path.endswith("-packages")] + [str(Path(__file__).parents[2])]
    (packages / "links.pth").write_text("\n".join([*known, str(repository.folder / "src")]) + "\n")
    repository.write("src/shop/__init__.py", MORE)
    done = repository.decided("main", python=str(environment / "bin/python"))
    assert done.status == 1, done.out
    assert repository.worst() == {"test_work": "regressed", "test_own_side": "unchanged"}


def test_an_installed_copy_is_refused(repository):
    """Where both sides would import one file of the environment: exit status 4 and what to do, not a green run."""
    repository.write("src/shop/__init__.py", SHOP)
    repository.write("test_it.py", TEST)
    repository.commit()
    packages = repository.folder.parent / "site-packages"
    shutil.copytree(repository.folder / "src", packages)
    done = repository.against("main", PYTHONPATH=str(packages))
    assert done.status == 4, done.out
    assert "base and head import the same file, so there is nothing to compare: shop -> " in done.out
    assert "pip install -e" in done.out
    assert not (repository.folder / ".pe-perf").exists()


@pytest.fixture(scope="module")
def copies(make_repository, tmp_path_factory):
    """Shop is in a submodule with a change; both sides have a copy of iniconfig, and head one of pluggy as well."""
    project = make_repository(tmp_path_factory.mktemp("copies"))
    library = make_repository(tmp_path_factory.mktemp("library"))
    library.write("shop.py", SHOP)
    library.commit()
    project.settings('[tool.pytest.ini_options]\npythonpath = ["vendored"]\n')
    project.git("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", str(library.folder), "vendored")
    project.write("test_it.py", TEST)
    copy_of(iniconfig, project)
    project.commit()
    project.write("vendored/shop.py", MORE)
    copy_of(pluggy, project)
    done = project.against("main", PYTHONSAFEPATH="1")
    return project, done, project.worst()


def copy_of(package, project):
    for path in Path(package.__file__).parent.glob("*.py"):
        project.write(f"{package.__name__}/{path.name}", path.read_text("utf-8"))


def test_a_copy_that_head_alone_has_is_no_matter_where_it_is_what_was_imported(copies):
    """A dependency comes into the tree: base has the environment's, head the same one of its own."""
    project, done, worst = copies
    assert (project.folder / "pluggy/__init__.py").read_text() == Path(pluggy.__file__).read_text()
    assert "pluggy" not in project.git("ls-tree", "--name-only", "main")
    assert done.status == 1, done.out
    assert worst == {"test_work": "regressed"}


def test_a_copy_of_a_dependency_is_no_matter_unless_it_differs(copies):
    """Pytest has imported its own iniconfig before it comes to the project's copy."""
    project, done, worst = copies
    assert done.status == 1, done.out
    assert worst == {"test_work": "regressed"}
    project.write("iniconfig/__init__.py", Path(iniconfig.__file__).read_text("utf-8") + "\nx = 2\n")
    done = project.against("main", PYTHONSAFEPATH="1")
    assert done.status == 4, done.out
    assert "there is nothing to compare: iniconfig -> " in done.out


def test_a_dirty_submodule_is_measured_as_it_is(copies):
    """Base has the submodule at its commit; head has it with its uncommitted change."""
    _, done, worst = copies
    assert done.status == 1, done.out
    assert worst == {"test_work": "regressed"}
    assert "the working tree against" in done.out
