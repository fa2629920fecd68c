"""The HTML report: one file, offline, escaped; without its script still the sentence and what failed."""

from __future__ import annotations

import base64
import hashlib
import random
import re
from dataclasses import replace
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.model import (
    Key,
    Skipped,
    Verdict,
)
from pytest_pe_perf.report import html as page_module
from pytest_pe_perf.report.html import SCRIPTS, joined, render
from pytest_pe_perf.report.rows import anchor
from pytest_pe_perf.report.screen import printable

from .conftest import Page, chunk, past_of

VOID = {"meta", "link", "input", "br"}
NASTY = [
    "t.py::test[</script><script>alert(1)</script>]",
    "t.py::test['\"><img src=x onerror=alert(1)>]",
    "t.py::test[&lt;b&gt; {{ 7*7 }} {% raw %}]",
    "t.py::test[\u202eexe.gnp\u2066 שלום]",
    "t.py::test[👩‍💻 \x00\x1b[31m \ud800]",
    "t.py::" + "very_long_" * 500,
]


def test_page_is_balanced_and_asks_for_nothing(html) -> None:
    """Every tag is closed, nothing would be loaded from anywhere, and the policy of the page forbids it besides."""
    page = Page(html)
    loads = [
        value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href", "srcset", "data"}
    ]
    assert loads
    assert all(value.startswith("#") or value == "data:," for value in loads)
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|\bimport\b ", html)
    assert not [attrs for _, attrs in page.tags if "style" in attrs or any(name.startswith("on") for name in attrs)]


def test_only_our_own_scripts_and_styles_count(html) -> None:
    """The policy names each script and the style by what is in it, and allows nothing else."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', html)[1].replace("&#39;", "'")
    inside = re.findall(r"<(?:script|style)>(.*?)</(?:script|style)>", html, re.DOTALL)
    inside.append(chunk(html, "d-uplot"))
    hashes = {base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in inside}
    assert set(re.findall(r"'sha256-([^']+)'", policy)) == hashes
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


def test_ids_are_unique_and_anchors_last(html) -> None:
    """No id stands twice, and a test's address is the same in every report."""
    tags = Page(html).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    links = [attrs["href"] for tag, attrs in tags if tag == "a"]
    assert f"#t={anchor('tests/test_api.py::test_quote')}&m=latency" in links
    assert anchor("tests/test_api.py::test_quote") == "b609b5795e"


@pytest.mark.parametrize("test", NASTY, ids=range(len(NASTY)))
def test_nasty_ids_are_only_text(judgement, report_of, run_of, test) -> None:
    """No id, name, reason, commit or context adds a tag, an attribute or a character that cannot be encoded."""

    def page(word) -> Page:
        row = judgement(word if word != "x" else "t.py::x", Verdict.REGRESSED, word, name=word, base=1e-3)
        report = report_of(row, skipped=(Skipped(word, word),), notes=(word,))
        past = past_of([row.key], 3, word, word)
        run = run_of(report, context={word: word, "commit": word, "head": word})
        html = render(run, report, past, title=word, command=word, commits="https://example.org/")
        html.encode()
        assert "\x00" not in html
        reason = chunk(html, "d-tests-0")[0]["rows"][0]["reason"]
        assert printable(reason) == reason
        return Page(html)

    nasty, expected = page(test), page("x")
    assert [tag for tag, _ in nasty.tags if tag != "span"] == [tag for tag, _ in expected.tags if tag != "span"]
    assert [set(a) for t, a in nasty.tags if t != "span"] == [set(a) for t, a in expected.tags if t != "span"]


@settings(max_examples=10, deadline=None)
@given(st.text(alphabet=st.characters(), min_size=1, max_size=40))
def test_any_id_gives_a_balanced_page(judgement, report_of, run_of, test) -> None:
    """Whatever the id, the page is balanced and holds no script but its own."""
    report = report_of(judgement(test, Verdict.REGRESSED, test, base=1e-3, head=2e-3))
    page = Page(render(run_of(report), report))
    assert [attrs.get("type") for tag, attrs in page.tags if tag == "script"].count(None) == 2


def test_what_failed_is_there_without_script(judgement, report_of, run_of) -> None:
    """However many rows failed, each stands in the page with its change; the first have their commands besides."""
    rows = [judgement(f"t.py::test_{n}", Verdict.REGRESSED, base=1e-3, head=2e-3) for n in range(30)]
    page = Page(render(run_of(report_of(*rows)), report_of(*rows)))
    assert {f"t.py::test_{n}" for n in range(30)} <= set(re.findall(r"t\.py::test_\d+", page.words))
    assert page.words.count("1.00 ms → 2.00 ms, 2x") == 30
    assert "10 more that failed" in page.words


def test_the_overview_holds_every_row(html, everything) -> None:
    """What the table is made of has all rows, the worst first."""
    content = chunk(html, "d-overview")
    words = [verdict for verdict, _, _ in content["verdicts"]]
    found = [words[row[4]] for row in content["rows"]]
    assert sorted(found) == sorted(judgement.verdict for judgement in everything.judgements)
    assert found == sorted(found, key=words.index)


def test_a_page_beyond_the_cap_shows_less_of_the_past_and_says_so(judgement, report_of, run_of, monkeypatch) -> None:
    """Older points are left out until the page is small enough; extremes stay."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    key = Key("t", "", "latency")
    past = past_of([key], 2000)
    noise = random.Random(1)
    values = [noise.uniform(1e-3, 2e-3) for _ in range(2000)]
    values[100] = 9e-3
    past = replace(past, courses={key: replace(past.courses[key], values=tuple(values))})
    whole = render(run_of(report), report, past)
    monkeypatch.setattr(page_module, "HARD_CAP", len(whole.encode()) - 200)
    small = render(run_of(report), report, past)
    assert "older runs are thinned" not in whole
    assert len(small.encode()) <= page_module.HARD_CAP
    kept, wanted = re.search(r"thinned: ([\d,]+) of ([\d,]+) points", small).groups()
    assert int(kept.replace(",", "")) < int(wanted.replace(",", "")) == 2001
    overview = chunk(small, "d-overview")
    assert max(overview["rows"][0][16]) == "o"


def test_scripts_set_no_markup_and_share_no_name() -> None:
    """Texts are set as texts; the modules become one script, so that each name is there once."""
    folder = resources.files("pytest_pe_perf.report.html") / "script"
    assert {each.name for each in folder.iterdir()} == {*SCRIPTS, "theme.js"}
    script = joined()
    assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://(?!www\.w3)", script)
    assert not re.search(r"^(import|export)\b", script, re.MULTILINE)
    names = re.findall(r"^(?:const|class|function) (\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names))
    assert "</script" not in script


def _luminance(colour: str) -> float:
    digits = colour[1:] if len(colour) == 7 else "".join(c * 2 for c in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_colours_have_contrast_in_both_themes() -> None:
    """Texts have a contrast of 4.5 on every surface, marks of 3 (WCAG 2.2), and both dark palettes are the same."""
    css = resources.files("pytest_pe_perf.report.html").joinpath("page.css").read_text(encoding="utf-8")
    light, dark, dark_too = (
        dict(re.findall(r"--([\w-]+): (#\w+);", block))
        for block in re.findall(r":root[^{]*\{(.*?)\}", css, re.DOTALL)[:3]
    )
    assert dark == dark_too
    tones = ["worse", "better", "open", "well", "same"]
    for theme in (light, dark):
        for surface in ("page", "surface", "sunken"):
            for text in ("text", "muted", "link", *(f"{tone}-text" for tone in tones)):
                assert _contrast(theme[text], theme[surface]) >= 4.5
        for tone in tones:
            assert _contrast(theme[f"{tone}-text"], theme[f"{tone}-tint"]) >= 4.5
            assert _contrast(theme["muted"], theme[f"{tone}-tint"]) >= 4.5
            assert _contrast(theme[tone], theme["surface"]) >= 3
