"""The page as people use it: a real browser, a real server, an engine at work."""

import re

import pytest

from engine_opt.monitoring.metric_store import open_store

CHANGED = "([selector, before]) => document.querySelector(selector).textContent !== before"


def alert(page, rule="slow decisions"):
    return page.locator("#alert-rows tr", has_text=rule)


def wait_for_text(page, selector, pattern):
    """Wait until the text of an element matches, and return it."""
    page.wait_for_function(
        "([selector, pattern]) => new RegExp(pattern).test(document.querySelector(selector).textContent)",
        arg=[selector, pattern],
    )
    return page.locator(selector).text_content()


def drag(page, plot, begin, end):
    """Drag over a chart, from one share of its width to another."""
    plot.scroll_into_view_if_needed()
    # A chart that gets another line is made anew: it is looked for and measured at once.
    found = "plot => plot.querySelector('.u-over')?.getBoundingClientRect().toJSON()"
    box = page.wait_for_function(found, arg=plot.element_handle()).json_value()
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + begin * box["width"], y)
    page.mouse.down()
    page.mouse.move(box["x"] + end * box["width"], y + 3, steps=3)
    page.mouse.up()


def test_numbers_move_and_the_token_leaves_the_address(served, visit):
    page = visit(served.url)
    wait_for_text(page, "#link", "Live")
    assert page.url == f"{served.address}/"
    rate = "[data-panel=decisions] td.n"
    before = wait_for_text(page, rate, r"\d/s")
    page.wait_for_function(CHANGED, arg=[rate, before])
    assert re.search(r"p50 [\d.]+ µs", wait_for_text(page, "#tiles", "µs"))
    charts = page.locator("#panels canvas")
    charts.first.wait_for()
    assert "MB" in page.locator("[data-panel=resident] td.n").text_content()


def test_a_planted_slowdown_fires_is_acknowledged_and_resolves(served, visit):
    page = visit(served.url)
    served.slow.touch()
    try:
        row = alert(page)
        row.get_by_text("▲ firing").wait_for()
        wait_for_text(page, "#health-words", "firing")
        row.get_by_role("button", name="Acknowledge").click()
        page.get_by_label("Your name").fill("Ana <i>")
        page.get_by_label("Note").fill("planted")
        page.get_by_role("dialog").get_by_role("button", name="Acknowledge").click()
        row.get_by_text("Ana <i>").wait_for()
        assert row.get_by_role("button", name="Acknowledge").count() == 0
    finally:
        served.slow.unlink()
    row.get_by_text("✓ resolved").wait_for()
    wait_for_text(page, "#said", "slow decisions is resolved")


def test_who_has_no_token_is_asked_for_it(served, visit):
    page = visit(served.address, expected=["401"])
    row = alert(page, "onerror")
    assert row.locator(".rule strong").text_content() == "<img src=x onerror=alert(1)>"
    assert row.locator(".summary").text_content().startswith("<b>always</b> ")
    row.get_by_role("button", name="Silence").click()
    dialog = page.get_by_role("dialog")
    page.get_by_label("Your name").fill("Bo")
    page.get_by_label("Why").fill("deployment")
    page.get_by_label("Token").fill("not the right token")
    dialog.get_by_role("button", name="Silence").click()
    page.get_by_text("a change needs the token").wait_for()
    page.get_by_label("Token").fill(served.token)
    dialog.get_by_role("button", name="Silence").click()
    page.get_by_text("silenced until").wait_for()
    page.get_by_role("button", name="End the silence").click()
    dialog.get_by_role("button", name="End the silence").click()
    page.locator("#silences").wait_for(state="hidden")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_theme_is_the_systems_until_another_is_chosen_and_both_can_be_read_by_all(served, visit, axe, theme):
    page = visit(served.url, color_scheme=theme)
    background = "getComputedStyle(document.body).backgroundColor"
    page.locator("#panels canvas").first.wait_for()
    wait_for_text(page, "#link", "Live")
    assert axe(page) == []
    alert(page, "onerror").get_by_role("button", name="Silence").click()
    assert axe(page) == []
    page.get_by_role("button", name="Cancel").click()
    before = page.evaluate(background)
    page.get_by_role("button", name="Theme").click()
    after = page.evaluate(background)
    assert after != before
    page.reload()
    assert page.evaluate(background) == after


def test_history_is_zoomed_by_pointer_and_by_keyboard_and_goes_back_to_now(served, visit):
    page = visit(served.url)
    plot = page.locator("[data-panel=decision] .plot")
    plot.locator("canvas").wait_for()
    with page.expect_response(lambda answer: "engine_decision_seconds" in answer.url and "start" in answer.url):
        drag(page, plot, 0.5, 0.9)
    words = wait_for_text(page, "#span", r"\d+:\d+:\d+ to \d+:\d+:\d+")
    assert "from=" in page.url
    plot.focus()
    page.keyboard.press("+")
    page.wait_for_function(CHANGED, arg=["#span", words])
    page.reload()
    wait_for_text(page, "#span", " to ")
    page.get_by_role("button", name="Back to now").click()
    assert page.locator("#span").text_content() == ""
    page.get_by_role("button", name="1 h").click()
    assert page.locator("#ranges [aria-pressed=true]").text_content() == "1 h"
    assert page.url.endswith("#last=3600")


def test_a_narrow_screen_needs_no_sideways_scrolling(served, visit):
    page = visit(served.url, viewport={"width": 390, "height": 844})
    page.locator("#panels canvas").first.wait_for()
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 390


def test_an_empty_store_and_a_lost_connection_are_told(serving, visit, tmp_path):
    open_store(tmp_path / "empty.db").close()
    arguments = ("--no-load", "--store", "empty.db")
    with serving(tmp_path, *arguments) as first:
        page = visit(first.url, expected=["ERR_"])
        wait_for_text(page, "#health-words", "No data yet")
        assert "nothing was collected yet" in page.locator("#reasons").text_content()
        wait_for_text(page, "#link", "Live")
    wait_for_text(page, "#link", "Connection lost")
    with serving(tmp_path, *arguments, port=first.port):
        wait_for_text(page, "#link", "Live")
