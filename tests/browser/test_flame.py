"""The flame graph as people use it: seen, zoomed by pointer and keyboard, and read without seeing it."""

import pytest

from pytest_pe_perf.model import (
    RUN_FORMAT,
    Comparison,
    Environment,
    Frame,
    GateReport,
    Judgement,
    Key,
    Profile,
    Row,
    Run,
    Sample,
    Stack,
    Verdict,
)
from pytest_pe_perf.report.html import render
from pytest_pe_perf.report.rows import anchor

expect = pytest.importorskip("playwright.sync_api").expect

TEST = "tests/test_text.py::test_parse"
NAMES = ("parse", "parse_line", "split", "<b>loads</b>", "clean", "tidy")


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A page with a regression whose profile has both sides: parse > (parse_line > (split, loads), clean > tidy)."""
    key = Key(TEST, "", "latency")
    frames = tuple(Frame(name, "src/text.py", own=True, line=3 + number) for number, name in enumerate(NAMES))
    stacks = ((0,), 100, 100), ((0, 1), 300, 950), ((0, 1, 2), 200, 200), ((0, 1, 3), 100, 100), ((0, 4), 295, 145)
    stacks = (*stacks, ((0, 4, 5), 5, 5))
    profile = Profile(key, frames, tuple(Stack(*stack) for stack in stacks), paired=True)
    compared = Comparison(1e-3, 1.5e-3, 1.5, 1.4, 1.6, 6, 0.05, 0.03, "paired")
    environment = Environment("cpython", "3.11", "linux", "x", 2)
    judged = Judgement(key, Verdict.REGRESSED, "because", 1.5e-3, compared, line=7)
    row = Row(key, (Sample(1.5e-3, 400, 100),), "source", 0.05, 0.01, line=7)
    run = Run(RUN_FORMAT, "2026-11-20T09:41:07+00:00", environment, {}, (row,), profiles=(profile,))
    path = tmp_path_factory.mktemp("flame") / "report.html"
    path.write_text(render(run, GateReport(environment, (judged,))), "utf-8")
    return path


@pytest.fixture
def page(read, drawn):
    return read(drawn, f"#t={anchor(TEST)}&m=latency")


def frame(page, name):
    return page.locator(".frame", has_text=name).first


def width(page, name):
    """Return the share of the width that a frame fills."""
    whole = page.locator(".frames").bounding_box()["width"]
    return round(frame(page, name).bounding_box()["width"] / whole, 2)


def test_a_flame_graph_shows_what_grew_and_what_shrank(page, axe):
    """Callers above what they call, as wide as head's time, orange and blue with a sign; a table says the same."""
    assert [width(page, name) for name in ("all of", "parse_line", "split", "clean")] == [1.0, 0.83, 0.13, 0.1]
    tops = [frame(page, name).bounding_box()["y"] for name in ("all of", "parse_line", "split")]
    assert tops == sorted(tops)
    expect(page.locator(".frame[class*=grew]")).to_have_text("▲ parse_line")
    assert page.locator(".frame[class*=shrank]").all_text_contents() == ["▼ clean"]
    assert frame(page, "loads").get_attribute("title").startswith("<b>loads</b> (src/text.py:6): 100 µs of each call")
    assert page.locator(".frames b").count() == 0
    cells = page.locator(".flame + .wide tbody tr").first.locator("th, td").all_text_contents()
    assert cells == ["parse_line (src/text.py:4)", "300 µs", "950 µs", "▲ +650 µs"]
    assert axe(page) == []


def test_a_function_fills_the_width_when_it_is_clicked(page):
    """What is beside it is gone, those above are as wide, and a second click goes back."""
    frame(page, "parse_line").click()
    assert [width(page, name) for name in ("all of", "parse_line", "split")] == [1.0, 1.0, 0.16]
    expect(frame(page, "clean")).to_be_hidden()
    expect(page.locator(".flame .note")).to_contain_text(
        "parse_line (src/text.py:4): 1.25 ms of each call, 83.3 %, 600 µs before"
    )
    frame(page, "parse_line").click()
    expect(frame(page, "clean")).to_be_visible()


def test_a_flame_graph_is_read_by_keyboard(page):
    """One stop of the tabulator; arrows move, Enter zooms, Escape zooms out and does not leave the page."""
    assert page.locator(".frame[tabindex='0']").count() == 1
    frame(page, "all of").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    expect(frame(page, "parse_line")).to_be_focused()
    page.keyboard.press("ArrowRight")
    expect(frame(page, "clean")).to_be_focused()
    expect(page.locator(".flame .note")).to_contain_text("clean")
    page.keyboard.press("Enter")
    assert width(page, "clean") == 1.0
    page.keyboard.press("Escape")
    assert width(page, "clean") == 0.1
    expect(frame(page, "all of")).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#page-overview")).to_be_visible()


def test_a_frame_too_narrow_for_words_is_as_wide_as_its_share(page):
    """One in three hundred is four pixels of a wide screen, with nothing in them; filling the width it has its name."""
    whole = page.locator(".frames").bounding_box()["width"]
    assert frame(page, "tidy").bounding_box()["width"] == pytest.approx(whole / 300, abs=0.5)
    expect(frame(page, "tidy").locator("span")).to_be_hidden()
    frame(page, "clean").click()
    frame(page, "tidy").focus()
    page.keyboard.press("Enter")
    expect(frame(page, "tidy").locator("span")).to_be_visible()


def test_a_telephone_shows_frames_for_fingers_and_all_numbers(read, drawn, axe):
    """Frames are taller, the drawing is no taller than what it shows, and the table needs no sideways scrolling."""
    options = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}
    page = read(drawn, f"#t={anchor(TEST)}&m=latency", **options)
    assert frame(page, "split").bounding_box()["height"] > 30
    assert page.locator(".frames").bounding_box()["height"] == 4 * 32
    frame(page, "parse_line").tap()
    assert width(page, "parse_line") == 1.0
    change = page.locator(".functions tbody tr").first.locator("td").last
    assert change.evaluate("(each) => getComputedStyle(each, '::before').content") == '"change"'
    assert change.bounding_box()["x"] + change.bounding_box()["width"] <= 390
    assert page.locator(".flame + .wide").evaluate("(each) => each.scrollWidth - each.clientWidth") == 0
    assert axe(page) == []
