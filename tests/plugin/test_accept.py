"""Entries of [[tool.pe_perf.accept]]: what they let pass, where it is said, and what becomes of those that nobody needs."""

from __future__ import annotations

import sys
from datetime import date

import pytest

from pytest_pe_perf.against import entries_of_base
from pytest_pe_perf.config import load_settings
from pytest_pe_perf.errors import ConfigError
from pytest_pe_perf.measure.paired.trees import Against
from pytest_pe_perf.model import Acceptance

CODE = """
def grows():
    return [0] * 1000

def more():
    return [1] * 1000
"""
WORSE = CODE.replace("[0] * 1000", "[0] * 1150").replace("[1] * 1000", "[1] * 1350")
TESTS = """
import shop

def test_grows(pe_memory):
    pe_memory(shop.grows)

def test_more(pe_memory):
    pe_memory(shop.more)
"""
GROWS, MORE = "test_shop.py::test_grows", "test_shop.py::test_more"
# Far from the day on which somebody runs these tests.
LATER, LONG_AGO = date(2999, 12, 31), date(2020, 1, 31)


def entry(test: str = GROWS, **changes: str) -> str:
    """Return an entry as it stands in a project file; keys with an empty value are left out."""
    keys = {
        "test": f'"{test}"',
        "metric": '"peak"',
        "ceiling": '"20 %"',
        "reason": '"exact rounding"',
        "issue": '"https://example.org/12"',
        "expires": LATER.isoformat(),
    }
    lines = [f"{key} = {value}\n" for key, value in (keys | changes).items() if value]
    return "".join(["[[tool.pe_perf.accept]]\n", *lines])


def judgements(project) -> dict[tuple[str, str], dict]:
    return {(j["key"]["test"], j["key"]["metric"]): j for j in project.run_file()["judgements"]}


@pytest.fixture(scope="module")
def shop(shared):
    """A project with a baseline, and code that has become worse in one place."""
    shared.write("shop.py", CODE)
    shared.write("test_shop.py", TESTS)
    done = shared.accept()
    assert done.status == 0, done.out
    shared.write("shop.py", WORSE.replace("[1] * 1350", "[1] * 1000"))
    return shared


def test_entries_that_nobody_needs_are_named_and_fail_a_strict_run(shop):
    """Healed, expired and mistyped ones have a note each; exit status 1, although every test passes."""
    expired = entry("test_shop.py", expires=LONG_AGO.isoformat())
    shop.settings(entry() + entry(MORE) + expired + entry("test_shop.py::test_mor") + entry("other/test_x.py"))
    done = shop.gate("--pe-perf-strict")
    assert done.status == 1, done.out
    assert "2 passed" in done.out
    assert "4 accept entries ask to be mended or deleted" in done.out
    assert judgements(shop)[GROWS, "peak"]["verdict"] == "accepted"
    assert [note.partition("(https://example.org/12): ")[2] for note in shop.run_file()["notes"]] == [
        "nothing that it names is worse any more; delete it",
        "expired on 2020-01-31; renew or delete it",
        f"names no test; close to it: {MORE}, {GROWS}",
        "names no test, and none comes close",
    ]
    assert "renew or delete it" in (shop.folder / ".pe-perf/report.html").read_text()
    assert "renew or delete it" in " ".join(done.out.split())


def test_a_part_of_the_suite_says_nothing_of_the_entries_of_the_rest(shop):
    """With -k and with a node id they are not called useless; what has expired has, and is no failure by itself."""
    shop.settings(entry() + entry("*_gone"))
    by_name = shop.gate("--pe-perf-strict", "--pe-perf-time=5 ms", "-k", "test_more")
    assert by_name.status == 0, by_name.out
    assert by_name.out.count("not used in this run") + by_name.out.count("were not part of this run") >= 2
    shop.settings(entry(expires=LONG_AGO.isoformat()) + entry("test_shop.py::test_gone"))
    by_id = shop.gate("--pe-perf-time=5 ms", MORE)
    assert by_id.status == 0, by_id.out
    expired, elsewhere = (note for note in shop.run_file()["notes"] if note.startswith("accept entry"))
    assert "expired on 2020-01-31" in expired
    assert elsewhere.endswith("its tests were not part of this run")


def test_a_bad_entry_is_a_usage_error_of_every_door(shop):
    """Pytest exits with 4 and pe-perf with 2, before anything is measured or written."""
    shop.settings(entry() + entry(MORE, reason=""))
    before = (shop.folder / ".pe-perf/run.json").read_bytes()
    for done, status in (shop.gate(), 4), (shop.pe_perf("update"), 2):
        assert done.status == status, done.out
        assert f"accept: entry 2 ('{MORE}'): reason is missing" in done.out
        assert "Traceback" not in done.out
    assert (shop.folder / ".pe-perf/run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (entry(until="2027-01-31"), f"accept: unknown key 'until' in entry 1 ('{GROWS}'): known are: test, metric"),
        (entry(expire="2027-01-31"), "did you mean 'expires'?"),
        *[(entry(**{key: ""}), f"{key} is missing") for key in ("metric", "ceiling", "reason", "expires")],
        (entry().replace("test = ", "tests = "), "unknown key 'tests' in entry 1: did you mean 'test'?"),
        (entry(test="  "), "test: '  ' is not a text"),
        (entry(reason='""'), "reason: '' is not a text"),
        (entry(issue="12"), "issue: 12 is not a text"),
        (entry(metric='"peek"'), "metric: 'peek' is no metric that is judged: did you mean 'peak'?"),
        (entry(metric='"cpu"'), "metric: 'cpu' is no metric that is judged"),
        (entry(ceiling="0.9"), "ceiling: 0.9 is not a ratio above 1"),
        (entry(ceiling="1"), "ceiling: 1 is not a ratio above 1"),
        (entry(ceiling='"0 %"'), "ceiling: '0 %' is not a ratio above 1"),
        (entry(ceiling="inf"), "ceiling: inf is not a ratio above 1"),
        (entry(ceiling="nan"), "ceiling: nan is not a ratio above 1"),
        (entry(ceiling="1" + "0" * 400), "is not a ratio above 1"),
        (entry(ceiling="true"), "ceiling: True is not a share"),
        (entry(ceiling='"20 ms"'), "ceiling: '20 ms' is not a share"),
        (entry(expires='"2027-01-31"'), "expires: '2027-01-31' is not a date: write one without quotes"),
        (entry(expires="2027-01-31T00:00:00"), "is not a date"),
        (entry(expires="2027-02-31"), "pyproject.toml"),
        (
            entry() + entry(MORE) + entry(reason='"another"'),
            f"entry 3 ('{GROWS}'): entry 1 has the same test and metric",
        ),
        ("[tool.pe_perf]\naccept = 5\n", "accept: it is not a list of tables"),
        ("[tool.pe_perf]\naccept = [5]\n", "accept: it is not a list of tables"),
    ],
)
def test_a_bad_entry_is_named_with_its_key(tmp_path, text, words):
    """The message says which entry, which key, what was read and what would do."""
    (tmp_path / "pyproject.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_settings(tmp_path)
    assert words in str(caught.value)


def test_an_entry_is_read_as_it_stands(tmp_path):
    """A ceiling may be a ratio or a share, and an issue may be left out."""
    (tmp_path / "pyproject.toml").write_text(entry(ceiling="1.5", issue="") + entry(MORE))
    assert load_settings(tmp_path).accept == (
        Acceptance(GROWS, "peak", 1.5, "exact rounding", LATER),
        Acceptance(MORE, "peak", 1.2, "exact rounding", LATER, "https://example.org/12"),
    )


# Beside a commit.

posix = pytest.mark.skipif(sys.platform == "win32", reason="needs processes that Windows does not have")


@pytest.fixture(scope="module")
def changed(shared_repository):
    """A change for the worse, beside a base that accepts one part of it for a while and not the other."""
    project = shared_repository
    project.write("shop.py", CODE)
    project.write("test_shop.py", TESTS)
    project.settings(entry() + entry("test_shop.py", metric='"retained"'))
    project.commit("with an entry")
    project.write("shop.py", WORSE)
    project.settings(entry() + entry(MORE, ceiling="9.0") + entry("test_shop.py", metric='"retained"'))
    return project, project.against("main", "--junitxml=junit.xml")


@posix
def test_a_change_cannot_accept_itself(changed):
    """The entry that stands on the base lets its test pass; one that only head has is listed and does nothing."""
    project, done = changed
    assert done.status == 1, done.out
    found = judgements(project)
    assert found[GROWS, "peak"]["verdict"] == "accepted"
    assert found[MORE, "peak"]["verdict"] == "regressed"
    outcomes = project.outcomes()
    assert outcomes["test_grows"] == "passed"
    assert f"the accept entry of {MORE} counts once it is on the base" in project.message("test_more")
    waiting, not_needed = (note for note in project.run_file()["notes"] if note.startswith("accept entry"))
    assert waiting.endswith(": counts once it is on the base")
    assert not_needed.endswith(": not used in this run")


@posix
def test_every_report_says_what_was_accepted_why_and_until_when(changed):
    """Terminal, page, run file and JUnit have ceiling, last day, reason and issue."""
    project, done = changed
    said = ("accepted", "+20.0 %", LATER.isoformat(), "exact rounding", "https://example.org/12")
    page = (project.folder / ".pe-perf/report.html").read_text()
    junit = (project.folder / "junit.xml").read_text()
    (accepted,) = [line for line in junit.split("<property ") if 'name="pe_perf.peak.accepted"' in line]
    for text in (" ".join(done.out.split()), page, f"accepted {accepted}"):
        assert [word for word in said if word not in text] == []
    assert judgements(project)[GROWS, "peak"]["accepted"] == {
        "test": GROWS,
        "metric": "peak",
        "ceiling": 1.2,
        "reason": "exact rounding",
        "expires": LATER.isoformat(),
        "issue": "https://example.org/12",
    }


@posix
def test_the_entries_of_a_base_are_read_from_its_own_project_file(repository):
    """Wherever the project stands in its repository; a base without the file has none, and a broken one is an error."""
    top = repository.folder
    place = top / "services" / "shop"
    repository.commit("without the project")
    repository.write("services/shop/pyproject.toml", "[tool.pe_perf]\nsetting_of_old = 1\n" + entry())
    repository.commit("with an entry")
    repository.write("services/shop/pyproject.toml", "[tool.pe_perf]\n" + entry(reason=""))
    repository.commit("broken")
    first, second, third = repository.git("rev-list", "--reverse", "HEAD").split()

    def at(commit: str) -> tuple[Acceptance, ...]:
        return entries_of_base(Against(top.resolve(), "main", commit), place)

    assert at(first) == ()
    assert [found.test for found in at(second)] == [GROWS]
    with pytest.raises(
        ConfigError, match=rf"services/shop/pyproject.toml of the base \({third[:10]}\): accept: entry 1"
    ):
        at(third)
