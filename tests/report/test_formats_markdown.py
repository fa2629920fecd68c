"""The comment on a pull request, read through GitHub's own renderer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser

import cmarkgfm
import pytest
from cmarkgfm.cmark import Options
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pytest_pe_perf.model import GateReport, Judgement, Run, Skipped, Verdict
from pytest_pe_perf.report.formats.markdown import LARGEST, MARKER, code, render, text
from pytest_pe_perf.report.screen import printable

from .conftest import make_judgement, make_pairs, make_report, make_run

OURS = {"details", "summary", "table", "thead", "tbody", "tr", "th", "td", "p", "strong", "code", "pre", "ul", "li"}
HOSTILE = (
    "a|b",
    "a\\|b",
    "a\\\\|b",
    "`",
    "``x`",
    "<script>alert(1)</script>",
    "<!-- --><img src=x onerror=y>",
    "</details></td></table>",
    "line\nbreak\r\n\r\n# head",
    "| x | y |\n|---|---|",
    "![i](http://a.b/c.png)[l](javascript:x)",
    "https://evil.example/ www.evil.example me@evil.example",
    "@everyone #1 GH-12 org/repo#3 :tada:",
    "**b** _i_ ~~s~~ $m$ &lt;",
    "1. x",
    "+ x",
    "- [ ] x",
    "--- ===",
    "\u202eright to left\u202c",
    "\u05d0\u05d1\u05d2 \u0645\u0631\u062d\u0628\u0627",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
    "\ud800 half",
    "trailing \\",
    " blank ends ",
    "x" * 5000,
    "z\u0301\u0301" + "\u0301" * 5000,
)
WORDS = st.sampled_from(HOSTILE) | st.text(
    st.sampled_from("ab|\\`<>&[]()!*_~#@:+-=.1 \n\t\"'$/\u202e\u05d0") | st.characters(), max_size=40
)


class Page(HTMLParser):
    """What a reader of the rendered comment gets: its elements, the cells of its rows, its texts of code."""

    def __init__(self, body: str) -> None:
        super().__init__()
        # Unsafe, so that whatever came through as HTML is seen here; GitHub would clean it up.
        self.html = cmarkgfm.github_flavored_markdown_to_html(body, Options.CMARK_OPT_UNSAFE)
        self.elements: Counter[str] = Counter()
        self.attributes: set[str] = set()
        self.rows: list[list[str]] = []
        self.blocks: list[str] = []
        self.comments: list[str] = []
        self._into: list[str] | None = None
        self.feed(self.html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements[tag] += 1
        self.attributes |= {name for name, _ in attrs}
        if tag == "tr":
            self.rows.append([])
        if tag in {"td", "th"}:
            self._into = self.rows[-1]
        if tag == "pre":
            self._into = self.blocks
        if tag in {"td", "th", "pre"} and self._into is not None:
            self._into.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"td", "th", "pre"}:
            self._into = None

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into[-1] += data.replace("\xa0", " ")

    def handle_comment(self, data: str) -> None:
        self.comments.append(data)


def page_of(report: GateReport, run: Run | None = None) -> Page:
    body = render(run or make_run(report), report)
    assert len(body.encode()) <= LARGEST
    return Page(body)


def test_one_line_where_all_is_well() -> None:
    """A good run is the marker and one sentence, improvements and accepted rows included."""
    good = make_report(
        make_judgement("t.py::test_a", Verdict.UNCHANGED, base=1e-3),
        make_judgement("t.py::test_b", Verdict.ACCEPTED, base=1e-3, head=2e-3),
    )
    marker, line, *rest = render(make_run(good), good).split("\n")
    assert (marker, rest) == (MARKER, [""])
    assert line.startswith("✓ **pe-perf**: 1 accepted, 1 unchanged; smallest change")


def test_what_failed_stands_first_with_its_numbers_and_commands(everything: GateReport) -> None:
    """The first table is what fails, worst first: ratio, interval, threshold, reason; then the commands."""
    page = page_of(everything)
    head, first, *_ = page.rows
    assert head == ["", "test", "metric", "change", "95 % interval", "threshold", "why"]
    api = "tests/test_api.py::test_quote"
    assert ["▲ regressed", api, "latency"] in [row[:3] for row in page.rows]
    assert first[0].startswith("▲")
    latency = next(row for row in page.rows if row[1:3] == [api, "latency"])
    assert latency[3:] == ["750 µs → 840 µs, +12.0 %", "+8.6 % to +15.4 %", "+10.0 %", "+12.0 %, beyond +10.0 %"]
    assert f"pytest {api} --pe-perf\n" in page.blocks
    assert f'pe-perf update {api} --reason "..."\n' in page.blocks
    assert "the budget or change it in the marker" in page.html


def test_what_was_counted_says_where_to_look(everything: GateReport) -> None:
    """Beside a time that got worse, what the same calls take of memory stands outside of any fold."""
    body = render(make_run(everything), everything)
    seen, _, _ = body.partition("<details>")
    assert (
        "- `tests/test_api.py::test_quote` latency: peak memory of a call grew as well: 2.20 MiB → 3.40 MiB, " in seen
    )
    alone = make_report(make_judgement("t.py::test_a", Verdict.REGRESSED, base=1e-3, head=2e-3))
    assert "Where to look" not in render(make_run(alone), alone)


def test_a_doubt_is_never_one_line_of_good_news() -> None:
    """What keeps a run from being judged stands in the sentence, as text."""
    good = replace(
        make_report(make_judgement("t.py::test_a", Verdict.UNCHANGED, base=1e-3)), doubts=("no <b>head</b>",)
    )
    _, line, *_ = render(make_run(good), good).split("\n")
    assert line.startswith("◇ **pe-perf**: 1 unchanged; ")
    assert line.endswith("; could not tell: no `<b>head</b>`")


def test_what_was_left_open_is_folded_and_named(everything: GateReport) -> None:
    """Inconclusive, not comparable, missing and new rows have a table of their own, and notes stand below."""
    page = page_of(everything)
    assert "1 inconclusive, 1 not comparable, 1 missing, 2 new" in page.html
    words = [row[0] for row in page.rows]
    assert [word for word in words if word.startswith(("◇", "≠", "∅", "+"))] == [
        "◇ inconclusive",
        "≠ not comparable",
        "∅ missing",
        "+ new",
        "+ new",
    ]
    assert "not measured" in page.html
    assert "5 baseline rows belong to tests" in page.html


def test_pairs_are_told_apart_from_baselines(side_by_side: GateReport, sides_run: Callable[[GateReport], Run]) -> None:
    """Between two commits both are named, and nothing tells to accept what no baseline holds."""
    page = page_of(side_by_side, sides_run(side_by_side))
    assert "against <code>" in page.html or "against 1a2b3c4d5e" in page.html
    run = sides_run(side_by_side)
    clean = page_of(side_by_side, replace(run, context={**run.context, "dirty": "no"}))
    assert ("the working tree" in page.html, "9f8e7d6c5b against" in clean.html) == (True, True)
    assert not any("pe-perf update" in block for block in page.blocks)
    assert any(block.startswith("pytest --pe-perf --pe-perf-against main") for block in page.blocks)


@settings(max_examples=40)
@given(WORDS, WORDS, WORDS)
@example(HOSTILE[0], HOSTILE[1], HOSTILE[2])
@example(HOSTILE[7], HOSTILE[9], HOSTILE[10])
def test_nothing_in_a_run_file_becomes_markup(test: str, reason: str, note: str) -> None:
    """Whatever ids, reasons, notes and commits hold: no element, attribute, cell, row or comment but ours."""
    rows = [
        make_judgement(test, Verdict.REGRESSED, reason, base=1e-3, head=2e-3),
        make_judgement("t.py::test_b", Verdict.INCONCLUSIVE, reason, base=1e-3),
        make_judgement(test, Verdict.NEW, note, metric="peak", name=reason),
    ]
    report = make_report(*rows, skipped=(Skipped(test, reason),), notes=(note, reason))
    for context in ({}, {"against": note, "base": reason, "head": test}):
        page = page_of(report, make_run(report, context=context))
        assert set(page.elements) <= OURS
        # The class of a block of commands.
        assert page.attributes <= {"lang"}
        assert page.elements["li"] == 3
        assert page.elements["tr"] == 2 + len(rows)
        assert [len(row) for row in page.rows] == [7] * 5
        assert page.comments == [MARKER[4:-3]]


@pytest.mark.parametrize("words", [words for words in HOSTILE if len(words) < 40])
def test_an_id_is_shown_as_it_is(words: str) -> None:
    """In a cell stands the very id, control characters spelled out, so that it can be looked for."""
    report = make_report(make_judgement(words, Verdict.REGRESSED, words, base=1e-3, head=2e-3))
    row = page_of(report).rows[1]
    expected = printable(words).replace("\\|", "\\\\x7c")
    assert row[1] == expected
    assert row[6] == " ".join(expected.split())


@given(WORDS)
@settings(max_examples=30)
def test_text_and_code_say_what_they_were_given(words: str) -> None:
    """Rendered, running text and code are the words themselves, on one line."""
    said = Page(f"x {text(words)}\n").html
    plain = re.sub(r"</?(code|p)>", "", said).strip()
    unescaped = plain.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", '"').replace("&amp;", "&")
    assert unescaped == " ".join(["x", *printable(words).split()])
    if words.strip():
        assert Page(f"x {code(words)}\n").elements == Counter(p=1, code=1)


def test_too_much_is_counted_and_never_too_large() -> None:
    """With thousands of failures, ids of 5 kB and endless notes the comment fits, and says what it leaves out."""
    long = "\U0001f468" * 1250
    rows = [
        make_judgement(f"t.py::test_{n}[{long if n % 2 else ''}]", verdict, long, base=1e-3, head=2e-3, metric=metric)
        for n in range(400)
        for verdict, metric in ((Verdict.REGRESSED, "latency"), (Verdict.INCONCLUSIVE, "peak"))
    ]
    report = make_report(*rows, notes=(long,) * 50)
    page = page_of(report)
    shown = Counter(row[0] for row in page.rows)
    assert shown["▲ regressed"] > 5
    left = [int(number) for number in re.findall(r"and (\d+) more\b(?! test)", page.html)]
    assert left[:2] == [400 - shown["▲ regressed"], 400 - shown["◇ inconclusive"]]
    assert f"and {400 - page.html.count('measure it again')} more tests" in page.html
    assert "the command is too long to stand here" in page.html


def test_a_weak_row_is_not_called_open() -> None:
    """The sentence counts weak rows; the comment stays one line."""
    report = make_report(make_pairs("t.py::test_a", Verdict.UNCHANGED, detectable=0.2))
    assert render(make_run(report), report).count("\n") == 2


def judgement_of(test: str) -> Judgement:
    return make_judgement(test, Verdict.REGRESSED, base=1e-3, head=2e-3)


def test_commands_are_for_ten_tests_and_say_how_many_more() -> None:
    """Commands stand for the ten worst tests, each once, however many of its rows failed."""
    rows = [judgement_of(f"t.py::test_{number}") for number in range(12)]
    rows.append(make_judgement("t.py::test_0", Verdict.REGRESSED, base=1.0, head=2.0, metric="peak"))
    page = page_of(make_report(*rows))
    assert page.html.count("measure it again") == 10
    assert "and 2 more tests" in page.html
