"""The report as people read it: one file and a real browser."""

import importlib.util
import re
from dataclasses import replace
from pathlib import Path

import pytest

from pytest_pe_perf.judge.packed import pack
from pytest_pe_perf.model import Accept, Block, Key, PairedRow, Pairs, Past, Restart, Turn, Verdict
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.rows import anchor
from pytest_pe_perf.units import format_change, format_quantity

expect = pytest.importorskip("playwright.sync_api").expect

SCRIPT = Path(__file__).parents[2] / "docs/performance/report_page.py"
TARGET = 1_500_000  # bytes
TESTS, RUNS = 120, 100


@pytest.fixture(scope="module")
def large():
    """The made-up suite of the script that measures the page."""
    spec = importlib.util.spec_from_file_location("report_page", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def made(large):
    """A suite whose page has all that the large one has, and is opened sooner."""
    return large.Made(TESTS, RUNS)


@pytest.fixture(scope="module")
def report(large, made, tmp_path_factory):
    """Its page."""
    run, found = made.outcome()
    pairs = Pairs((pack(_paired(large.test_id(3))),))
    markers = {large.test_id(3): ("<i>engine", "slow"), large.test_id(17): ("slow",)}
    run = replace(run, pairs=(pairs,), markers=markers)
    page = render(run, found, made.past(), command="pytest --pe-perf tests/perf")
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(page, "utf-8")
    return path


def _paired(test):
    def restart(ratio):
        return Restart(tuple(Block((Turn(1.0, 1.0),), (Turn(ratio + n % 7 / 500, 1.0),)) for n in range(12)))

    key = Key(test, "", "latency")
    return PairedRow(key, "source", 0.05, 0.01, (restart(1.3), restart(1.32)), (restart(1.31), restart(1.33)))


@pytest.fixture(scope="module")
def slow(large):
    """The address of a test that regressed."""
    return f"#t={anchor(large.test_id(3))}"


def table(page):
    """Bring the table to the top of the screen."""
    page.evaluate("document.getElementById('table').scrollIntoView({ behavior: 'instant' })")
    page.locator("#rows tbody tr:not(.space)").first.wait_for()


def rows(page):
    return page.locator("#rows tbody tr:not(.space)")


def ids(page):
    return [
        re.search(r"\d{4}", text)[0]
        for text in page.locator("#rows td.id a").all_text_contents()
        if "something" in text
    ]


def test_the_page_of_a_large_suite_is_small(large):
    """1,000 tests with 500 runs, of each the times, how sure they are, and the peaks of memory."""
    made = large.Made(1000, 500)
    assert len(render(*made.outcome(), made.past()).encode()) <= TARGET


def test_the_sentence_what_to_do_and_all_rows(report, read):
    page = read(report)
    assert page.locator("h1").first.text_content() == "3 tests failed"
    assert "smallest change this run could have seen" in page.locator(".answer").text_content()
    assert page.locator(".card").count() == 4
    expect(page.locator("#shown")).to_have_text("240 rows")
    assert page.locator("#rows").get_attribute("aria-rowcount") == "241"
    table(page)
    drawn = rows(page).count()
    assert 0 < drawn < 60, "only what can be seen is drawn"
    page.evaluate("scrollTo(0, document.documentElement.scrollHeight / 2)")
    page.wait_for_function(
        "Number(document.querySelector('#rows tr[aria-rowindex]').getAttribute('aria-rowindex')) > 60"
    )
    assert rows(page).count() < 60
    first = rows(page).first
    assert first.locator("svg.spark path").first.get_attribute("d").count("L") == 39


def test_search_filters_and_order_stand_in_the_address(report, read):
    page = read(report)
    page.keyboard.press("/")
    page.keyboard.type("something_001 latency")
    expect(page.locator("#shown")).to_have_text("9 of 240 rows")
    assert page.url.endswith("#q=something_001+latency")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(page.locator("#shown")).to_have_text("240 rows")
    table(page)
    page.locator(".chip", has_text="improved").click()
    expect(page.locator("#shown")).to_have_text("2 of 240 rows")
    assert page.locator(".chip[aria-pressed=true]").count() == 1
    page.get_by_role("button", name="Change", exact=True).click()
    assert ids(page) == ["0067", "0071"]
    page.get_by_role("button", name="Change", exact=True).click()
    assert ids(page) == ["0071", "0067"]
    assert page.locator("th[aria-sort=descending]").text_content() == "Change"
    page.reload()
    page.locator("html[data-ready]").wait_for(state="attached")
    table(page)
    assert ids(page) == ["0071", "0067"]
    page.keyboard.press("Escape")
    page.locator("#metric").select_option("peak")
    page.locator("#file").select_option("tests/perf/test_00.py")
    expect(page.locator("#shown")).to_have_text("22 of 240 rows")
    assert "metric=peak" in page.url
    page.get_by_label("Search tests").fill("no such test")
    page.get_by_text("No row fits the filters").wait_for()


def test_rows_are_filtered_by_the_markers_of_their_tests(report, read):
    """With what else is asked for, and by the address; a name that nobody has finds nothing."""
    page = read(report)
    assert page.locator("#marker option").all_text_contents() == ["All markers", "<i>engine", "slow"]
    page.get_by_label("Marker").select_option("slow")
    expect(page.locator("#shown")).to_have_text("4 of 240 rows")
    page.locator("#metric").select_option("latency")
    expect(page.locator("#shown")).to_have_text("2 of 240 rows")
    assert page.url.endswith("#metric=latency&marker=slow")
    page.reload()
    page.locator("html[data-ready]").wait_for(state="attached")
    table(page)
    assert ids(page) == ["0003", "0017"]
    page.keyboard.press("Escape")
    expect(page.locator("#shown")).to_have_text("240 rows")
    page.evaluate("location.hash = '#marker=gone'")
    expect(page.locator("#shown")).to_have_text("0 of 240 rows")


def test_the_keyboard_goes_everywhere(report, read, large):
    page = read(report, "#failing")
    expect(page.locator("#shown")).to_have_text("4 of 240 rows")
    page.keyboard.press("f")
    expect(page.locator("#shown")).to_have_text("240 rows")
    page.keyboard.press("f")
    for key in "jjkj":
        page.keyboard.press(key)
    expect(page.locator("#rows .current a")).to_be_focused()
    page.keyboard.press("Enter")
    heading = page.locator("#page-test h1")
    heading.get_by_text("test_something_0003").wait_for()
    page.keyboard.press("j")
    heading.get_by_text("test_something_0017").wait_for()
    page.keyboard.press("k")
    heading.get_by_text("test_something_0003").wait_for()
    page.keyboard.press("Escape")
    page.locator("#page-overview").wait_for()
    expect(page.locator("#shown")).to_have_text("4 of 240 rows")
    page.keyboard.press("?")
    page.get_by_role("dialog").get_by_text("only what failed").wait_for()
    page.keyboard.press("Escape")
    background = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(background)
    page.keyboard.press("t")
    assert page.evaluate(background) != before


def test_a_test_has_its_history_its_readings_and_its_rounds(report, read, slow):
    page = read(report, f"{slow}&m=latency")
    row = page.locator("[data-metric=latency]")
    row.locator("canvas").wait_for()
    assert (
        "".join(
            page.locator("#page-test").evaluate(
                "(each) => [...each.childNodes].filter((n) => n.nodeType === 3).map((n) => n.data)"
            )
        )
        == ""
    )
    assert "regressed" in row.locator(".note").text_content()
    assert row.locator("svg.strip.of-now .dot").count() == 5
    assert row.locator("svg.strip.of-accepted .dot").count() == 1
    assert row.locator(".by-round").get_attribute("aria-label").startswith("4 pairs of processes, medians from +3")
    assert row.locator(".by-round path").count() == 48
    assert "peak memory of a call grew as well" in row.locator(".hints").text_content()
    row.get_by_text("All points as a table").click()
    expect(row.locator(".points tbody tr")).to_have_count(100)
    assert page.locator("#page-test").get_by_text("--pe-perf-profile").count() == 1


def test_a_history_is_zoomed_by_pointer_and_keyboard(report, read, slow):
    page = read(report, f"{slow}&m=latency")
    plot = page.locator("[data-metric=latency] .plot")
    plot.scroll_into_view_if_needed()
    box = plot.locator(".u-over").bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.75 * box["width"], box["y"] + 60, steps=3)
    page.mouse.up()
    page.wait_for_function("location.hash.includes('r=')")
    first, last = map(int, re.search(r"r=(\d+)-(\d+)", page.url).groups())
    assert (first, last) == (pytest.approx(25, abs=2), pytest.approx(75, abs=2))
    plot.focus()
    before = page.locator("[data-metric=latency] .note").text_content()
    page.keyboard.press("ArrowLeft")
    assert page.locator("[data-metric=latency] .note").text_content() != before
    page.keyboard.press("0")
    page.wait_for_function("!location.hash.includes('r=')")
    page.keyboard.press("+")
    page.wait_for_function("location.hash.includes('r=')")
    page.reload()
    page.get_by_role("button", name="Whole history").click()
    page.wait_for_function("!location.hash.includes('r=')")


def test_what_is_shown_was_packed_and_unpacked(report, read, large, made):
    """The page of a test shows the numbers that the history has, to three digits."""
    page = read(report, f"#t={anchor(large.test_id(67))}&m=latency")
    row = page.locator("[data-metric=latency]")
    row.get_by_text("All points as a table").click()
    shown = row.locator(".points tbody tr td:nth-child(3)").all_text_contents()[::-1]
    value = [float(re.match(r"[\d.]+", text)[0]) for text in shown]
    wanted = [float(re.match(r"[\d.]+", format_quantity(time, "s"))[0]) for time in made.times[67]]
    assert value == pytest.approx(wanted, rel=0.006)


def test_quantities_are_written_as_everywhere(report, read):
    """What the script writes is what the rest of the report writes."""
    page = read(report)
    values = [0.0, 9.995e-4, 0.012345, 1.0, 59.99, 60.0, 3600.0, 999.4, 1023.0, 1024.0, 5e6, 3e9, 12345678.0, 12.5]
    ratios = [1.0, 0.99996, 0.5, 1.123, 1.9994, 2.0, 12.346, 1234.0, 1e6, 8.1818e19]
    script = re.search(r"\n(const STEPS = .*?)const day", report.read_text("utf-8"), re.DOTALL)[1]
    ask = (
        "([script, call, values]) => new Function('values', `${script}; return values.map((each) => ${call})`)(values)"
    )
    page = page.context.new_page()
    for unit in ("s", "B", "1"):
        found = page.evaluate(ask, [script, f"quantity(each, '{unit}')", values])
        assert found == [format_quantity(value, unit) for value in values]
    assert page.evaluate(ask, [script, "change(each)", ratios]) == [format_change(ratio) for ratio in ratios]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_everybody_can_read_it(report, read, axe, slow, theme):
    page = read(report, color_scheme=theme)
    assert axe(page) == []
    page.evaluate("(hash) => { location.hash = hash; }", slow)
    page.locator("#page-test canvas").first.wait_for()
    assert axe(page) == []
    page.get_by_role("link", name="Method").click()
    page.get_by_text("Could have seen, in 95").wait_for()
    assert axe(page) == []


def test_a_narrow_screen_needs_no_sideways_scrolling(report, read, slow):
    page = read(report, viewport={"width": 390, "height": 844})
    width = "document.scrollingElement.scrollWidth"
    assert page.evaluate(width) <= 390
    page.evaluate("(hash) => { location.hash = hash; }", slow)
    page.locator("#page-test canvas").first.wait_for()
    assert page.evaluate(width) <= 390


def test_ids_of_every_kind_are_text(report, read, large):
    page = read(report, "#q=test_odd")
    expect(page.locator("#shown")).to_have_text("6 of 240 rows")
    table(page)
    texts = "".join(page.locator("#rows td.id a").all_text_contents())
    assert "[</script><script>alert(1)</script>]" in texts
    assert "\\u202eexe.gnp" in texts
    for number in (5, 7, 11):
        page.evaluate("(hash) => { location.hash = hash; }", f"#t={anchor(large.test_id(number))}")
        page.wait_for_function("(part) => document.title.includes(part)", arg=large.test_id(number)[:20])
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 1280


def test_without_script_the_answer_is_there(report, read):
    page = read(report, java_script_enabled=False)
    assert page.locator("h1").first.is_visible()
    assert page.locator(".card").first.is_visible()
    assert page.locator("#rows").is_hidden()
    assert page.get_by_text("How it was decided").is_visible()
    page.get_by_text("What failed stands above").wait_for()


def test_commands_are_copied(report, read):
    page = read(report)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = page.get_by_role("button", name="Copy the command: reproduce").first
    button.click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()").startswith(
        "pytest 'tests/perf/test_00.py::test_something_0003"
    )


def test_print_shows_all_rows(report, read):
    page = read(report, "#metric=latency&file=tests%2Fperf%2Ftest_02.py")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert rows(page).count() == 25


def test_paper_is_light_and_shows_what_is_closed(report, read, slow):
    page = read(report, slow, color_scheme="dark")
    page.locator("#page-test canvas").first.wait_for()
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    assert page.evaluate("[...document.querySelectorAll('details.rest')].every((each) => each.open)")
    page.evaluate("dispatchEvent(new Event('afterprint'))")
    assert page.evaluate("document.documentElement.dataset.theme") is None


def test_paper_shows_a_trend_up_to_its_last_run(report, read, slow):
    """A chart that was drawn for a wide screen fits in, with words of their own size."""
    page = read(report, slow)
    canvas = page.locator("[data-metric=latency] canvas")
    canvas.wait_for()
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert canvas.evaluate("(each) => each.width / devicePixelRatio") <= 680
    assert canvas.bounding_box()["width"] == page.locator("[data-metric=latency] .plot").bounding_box()["width"]
    assert page.locator(".u-over").first.is_hidden()


def test_what_was_accepted_stands_beside_its_history(read, large, tmp_path):
    """With the commit, who and why; the newest first, and the value from which a creep is measured."""
    made = large.Made(8, 12)
    key = Key(large.test_id(0), "", "latency")
    accepts = (
        Accept("c0ffee00aa", made.started(2), "Ann", 1e-3),
        Accept("facade00bb", made.started(6), "<b>Bob", 2e-3, 1e-3, "worth it"),
    )
    path = tmp_path / "report.html"
    path.write_text(render(*made.outcome(), replace(made.past(), accepts={key: accepts})), "utf-8")
    page = read(path, f"#t={anchor(key.test)}")
    told = page.locator("[data-metric=latency] .accepts li").all_text_contents()
    assert told == [
        f"{made.started(6)[:10]} facade00bb 2.00 ms by <b>Bob: worth it (a creep is measured from 1.00 ms)",
        f"{made.started(2)[:10]} c0ffee00aa 1.00 ms by Ann",
    ]


WORDS_OF_A_CHART = """
(() => {
  window.drawn = [];
  const draw = CanvasRenderingContext2D.prototype.fillText;
  CanvasRenderingContext2D.prototype.fillText = function (...all) { drawn.push(all[0]); draw.apply(this, all); };
})()
"""


@pytest.mark.parametrize(
    ("metric", "unit", "budget", "axis", "not_there"),
    [
        ("retained", "B", None, ["0 B", "256 B", "512 B", "1.00 KiB"], "0.00 B"),
        ("allocations", "1", None, ["0", "1", "2", "4"], "0.00"),
        ("retained", "B", 4096.0, ["0 B", "4.00 KiB", "budget 4.00 KiB"], "256 B"),
    ],
)
def test_a_history_of_zeros_is_a_line_on_an_axis(read, large, tmp_path, metric, unit, budget, axis, not_there):
    """From nothing to what the unit is counted in, or to the budget; and it is said."""
    run, found = large.Made(1, 2).outcome()
    key = Key(large.test_id(0), "", metric)
    compared = large.Comparison(0.0, 0.0, 1.0, 1.0, 1.0, 3, 0.0, 0.0, "counts")
    limit = None if budget is None else large.Budget(budget, "4 KiB")
    judged = large.Judgement(key, Verdict.UNCHANGED, "equal", 0.0, compared, limit)
    runs = tuple(large.PastRun(f"2026-01-{day:02}T09:00:00+00:00", "here", {}) for day in range(1, 13))
    ones, words = (1.0,) * 12, ("unchanged",) * 12
    past = Past(runs, {key: large.Course(tuple(range(12)), (0.0,) * 12, ones, ones, words)})
    path = tmp_path / "report.html"
    path.write_text(render(replace(run, rows=()), replace(found, judgements=(judged,)), past), "utf-8")
    page = read(path)
    page.evaluate(WORDS_OF_A_CHART)
    page.evaluate("(hash) => { location.hash = hash; }", f"#t={anchor(key.test)}")
    page.locator("#page-test canvas").wait_for()
    assert page.get_by_text(f"{format_quantity(0.0, unit)} in every run").count() == 1
    drawn = page.evaluate("drawn")
    assert set(axis) <= set(drawn)
    assert not_there not in drawn
    assert page.get_by_text("the budget lies far above").count() == 0


def test_a_history_of_one_point_and_none(read, large, tmp_path):
    """A first run has a dot and says so; a row without a number says that too."""
    run, found = large.Made(8, 2).outcome()
    missing = large.Judgement(Key("tests/test_old.py::test_gone", "", "latency"), Verdict.MISSING, "it is gone")
    path = tmp_path / "report.html"
    path.write_text(render(run, replace(found, judgements=(*found.judgements, missing)), Past()), "utf-8")
    page = read(path)
    assert page.locator("#metric").is_visible()
    assert page.locator("#marker").is_hidden(), "no test has one"
    page.evaluate("(hash) => { location.hash = hash; }", f"#t={anchor(large.test_id(0))}")
    page.locator("#page-test canvas").first.wait_for()
    assert page.get_by_text("one run so far: a trend needs more").count() == 2
    page.evaluate("(hash) => { location.hash = hash; }", f"#t={anchor('tests/test_old.py::test_gone')}")
    page.get_by_text("No run gave a number yet").wait_for()
