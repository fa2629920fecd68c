"""The HTML report: one file, offline, escaped, whole without its script."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.model import Key, Skipped, Verdict
from pytest_pe_perf.report.data import anchor, prepare
from pytest_pe_perf.report.distribution import distribution
from pytest_pe_perf.report.html import render

VOID = {"meta", "link", "input", "br"}
NASTY = [
    "t.py::test[</script><script>alert(1)</script>]",
    "t.py::test['\"><img src=x onerror=alert(1)>]",
    "t.py::test[&lt;b&gt; {{ 7*7 }} {% raw %}]",
    "t.py::test[\u202eexe.gnp\u2066 שלום]",
    "t.py::test[👩‍💻 \x00\x1b[31m \ud800]",
    "t.py::" + "very_long_" * 500,
]


class Page(HTMLParser):
    """The page as a browser would read it: its tags, attributes, texts, and whether every tag is closed."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        if self.open and self.open[-1] not in {"script", "style"}:
            self.text.append(data)

    @property
    def words(self) -> str:
        return " ".join(" ".join(self.text).split())


@pytest.fixture(scope="session")
def html(everything, run_of, points) -> str:
    trends = {judgement.key: points(40) for judgement in everything.judgements}
    return render(run_of(everything, context={"commit": "483c483a1b2c", "load": "2.1"}), everything, trends)


def test_page_is_balanced_and_asks_for_nothing(html) -> None:
    """Every tag is closed, and nothing would be loaded from anywhere."""
    page = Page(html)
    loads = [
        value for _, attrs in page.tags for name, value in attrs.items() if name in {"src", "href", "srcset", "data"}
    ]
    assert loads
    assert all(value.startswith("#") or value == "data:," for value in loads)
    assert not re.search(r"url\(|@import|https?://|fetch\(|XMLHttpRequest|import\(", html)


def test_links_lead_somewhere_and_names_are_unique(html) -> None:
    """Every fragment exists, no id stands twice, and a test's anchor is the same in every report."""
    tags = Page(html).tags
    ids = [attrs["id"] for _, attrs in tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    assert {attrs["href"][1:] for _, attrs in tags if attrs.get("href", "").startswith("#")} <= set(ids)
    assert anchor("tests/test_api.py::test_quote") == "t-b609b5795e" in ids


def test_answer_stands_first(html) -> None:
    """The first heading says whether it is well, with a sign, and the advice follows."""
    page = Page(html)
    assert "▲ 2 tests failed 2 regressed, 1 over budget" in page.words
    assert "Make it good again, or accept it with a reason" in page.words


def test_every_row_stands_in_the_table_without_script(html, everything) -> None:
    """The table holds all rows, each with its sign and word, and no row is hidden."""
    rows = [attrs for tag, attrs in Page(html).tags if tag == "tr" and "data-verdict" in attrs]
    assert sorted(row["data-verdict"] for row in rows) == sorted(j.verdict for j in everything.judgements)
    assert not any("hidden" in row for row in rows)


def test_cards_hold_the_commands(html) -> None:
    """A failing row has a command to reproduce it, and one to accept it unless it is over budget."""
    words = Page(html).words
    cards = words[words.index("What to do") : words.index("Not measured, and notes")]
    commands = re.findall(r"(?:reproduce|accept) ((?:pytest|pe-perf) .*?) Copy", cards)
    assert commands == [
        "pytest tests/test_api.py::test_quote --pe-perf",
        'pe-perf update tests/test_api.py::test_quote --reason "..."',
    ] * 2 + ["pytest tests/perf/test_startup.py::test_import --pe-perf"]


def test_copied_commands_are_exact(judgement, report_of, run_of) -> None:
    """The text of a command's element is the command to the last blank."""
    test = "t.py::test[two  blanks 'quoted']"
    report = report_of(judgement(test, Verdict.REGRESSED, base=1e-3, head=2e-3))
    html = render(run_of(report), report, {})
    codes = ["".join(Page(f"<code>{code}</code>").text) for code in re.findall(r"<code dir=\"ltr\">(.*?)</code>", html)]
    assert codes[:2] == [
        "pytest 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --pe-perf",
        "pe-perf update 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --reason \"...\"",
    ]


@pytest.mark.parametrize("test", NASTY, ids=range(len(NASTY)))
def test_nasty_ids_are_only_text(judgement, report_of, run_of, points, test) -> None:
    """No id, name, reason, commit or context adds a tag, an attribute or a character that cannot be encoded."""
    rows = [judgement(test, v, test, name=test, base=1e-3) for v in (Verdict.REGRESSED,)]
    plain = [judgement("t.py::x", v, "x", name="x", base=1e-3) for v in (Verdict.REGRESSED,)]

    def page(rows, word) -> Page:
        report = report_of(*rows, skipped=(Skipped(word, word),), notes=(word,))
        trends = {rows[0].key: [replace(p, commit=word, verdict=word) for p in points(3)]}
        html = render(run_of(report, context={word: word}), report, trends, title=word)
        html.encode()
        assert "\x00" not in html
        return Page(html)

    nasty, expected = page(rows, test), page(plain, "x")
    assert [tag for tag, _ in nasty.tags if tag != "span"] == [tag for tag, _ in expected.tags if tag != "span"]
    assert [set(a) for t, a in nasty.tags if t != "span"] == [set(a) for t, a in expected.tags if t != "span"]


@settings(max_examples=12, deadline=None)
@given(st.text(alphabet=st.characters(), min_size=1, max_size=40))
def test_any_id_gives_a_balanced_page(judgement, report_of, run_of, test) -> None:
    """Whatever the id, the page is balanced and holds no script but its own."""
    report = report_of(judgement(test, Verdict.REGRESSED, test, base=1e-3, head=2e-3))
    page = Page(render(run_of(report), report, {}))
    assert [tag for tag, _ in page.tags].count("script") == 1


def test_sixty_long_histories_stay_small(judgement, report_of, run_of, points) -> None:
    """Sixty rows with 500 runs each make a file below 1.5 MB, and the charts say that they were thinned."""
    rows = [judgement(f"tests/perf/test_module.py::test_number[{i}]", Verdict.UNCHANGED, base=1e-3) for i in range(60)]
    report = report_of(*rows)
    html = render(run_of(report), report, {row.key: points(500) for row in rows})
    assert len(html.encode()) < 1_500_000
    assert "of 501 runs are marked, extremes kept" in html


def test_this_run_ends_the_trend_once(judgement, report_of, run_of, points) -> None:
    """The current run is the last point, whether or not the history holds it already."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    run, key = run_of(report), Key("t", "", "latency")
    without = prepare(run, report, {key: points(3)}).rows[0].chart
    stored = [*points(3), replace(points(1)[0], started=run.started)]
    assert len(without.marks) == len(prepare(run, report, {key: stored}).rows[0].chart.marks) == 4


def test_the_history_itself_ends_the_trend_once(judgement, report_of, run_of, tmp_path) -> None:
    """A run that was appended to a real history is one point of the trends read back from it, not two."""
    report = report_of(judgement("tests/test_a.py::test_a", Verdict.UNCHANGED))
    run = run_of(report)
    with open_history(tmp_path / "history.sqlite") as history:
        history.append(run, report)
        trends = history.trends(run.environment.slug, [row.key for row in run.rows])
    assert all(len(points) == 1 for points in trends.values())
    page = prepare(run, report, trends)
    assert [len(row.chart.marks) for row in page.rows if row.chart] == [1]


def test_bar_of_an_interval_far_off_still_shows(judgement, report_of, run_of) -> None:
    """An interval beyond the bar's edge is drawn at its edge; a count has no bar."""
    far = judgement("t", Verdict.REGRESSED, base=1e-3, head=1.0)
    count = judgement("t", Verdict.REGRESSED, metric="peak", base=1.0, head=2.0)
    bars = [row.bar for row in prepare(run_of(report_of(far)), report_of(far, count), {}).rows]
    assert {bar and (bar.start, bar.length, bar.middle) for bar in bars} == {("97", "3", "100"), None}


@pytest.mark.parametrize(
    ("verdicts", "headline"),
    [
        ([], "Nothing was measured"),
        ([Verdict.UNCHANGED, Verdict.IMPROVED], "Nothing got worse"),
        ([Verdict.UNCHANGED, Verdict.ACCEPTED], "Nothing got worse beyond what was accepted"),
        ([Verdict.NEW, Verdict.NEW], "Nothing to compare with yet"),
        ([Verdict.UNCHANGED, Verdict.NEW], "Nothing got worse, and there are new rows"),
        ([Verdict.UNCHANGED, Verdict.INCONCLUSIVE], "No failure, and 1 row left open"),
        ([Verdict.MISSING, Verdict.NOT_COMPARABLE], "No failure, and 2 rows left open"),
        ([Verdict.REGRESSED, Verdict.UNCHANGED], "1 test got worse"),
        ([Verdict.OVER_BUDGET], "1 test is over budget"),
        ([Verdict.OVER_BUDGET, Verdict.OVER_BUDGET], "2 tests are over budget"),
        ([Verdict.OVER_BUDGET, Verdict.REGRESSED], "2 tests failed"),
    ],
)
def test_headline_answers_the_question(judgement, report_of, run_of, verdicts, headline) -> None:
    """The headline says in a few words whether anything got worse, and never that all is well when it is not known."""
    report = report_of(*[judgement(f"t{i}", v, base=1e-3) for i, v in enumerate(verdicts)])
    assert prepare(run_of(report), report, {}).headline == headline
    assert f'<h1 id="answer">{headline}</h1>' in render(run_of(report), report, {})


def test_skipped_tests_are_not_passed_over(judgement, report_of, run_of) -> None:
    """With a test that was not measured the headline is limited to what was."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3), skipped=(Skipped("u", "no memray"),))
    page = prepare(run_of(report), report, {})
    assert (page.level, page.headline) == ("unsure", "Nothing got worse where it was measured")
    assert "no memray" in Page(render(run_of(report), report, {})).words


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
    css = resources.files("pytest_pe_perf.report.html").joinpath("style.css").read_text(encoding="utf-8")
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


@pytest.fixture(scope="session")
def pairs_html(side_by_side, sides_run, points) -> str:
    trends = {judgement.key: points(12) for judgement in side_by_side.judgements}
    return render(sides_run(side_by_side), side_by_side, trends)


def test_page_of_pairs_is_balanced_and_asks_for_nothing(pairs_html) -> None:
    """What only such a page holds is as well-formed as the rest, and inside its drawings."""
    page = Page(pairs_html)
    assert not re.search(r"url\(|@import|https?://", pairs_html)
    places = [
        float(number)
        for tag, attrs in page.tags
        if tag == "i" and "style" in attrs
        for number in re.findall(r"(?:left|width):([^%;]+)%", attrs["style"])
    ]
    assert places
    assert all(0 <= place <= 100 for place in places)


def test_page_of_pairs_offers_no_update(pairs_html) -> None:
    """Beside a commit there is no baseline: no command accepts, and the sides have their names."""
    words = Page(pairs_html).words
    assert "the working tree against 1a2b3c4d5e (main), measured side by side" in words
    for foreign in ("pe-perf update", "accepted", "equal machine speed", "baseline folder", "reference workload"):
        assert foreign not in words
    assert "pytest --pe-perf --pe-perf-against main tests/test_api.py::test_quote Copy" in words
    assert "Nothing to update: the next comparison starts from the commit that this is merged into" in words
    assert "measured in 6 pairs of processes" in words
    assert "measured in 3 processes a side" in words
    assert "canaries: a planted +5.0 % was seen as +5.3 %" in words


def test_method_of_pairs_tells_how_pairs_decide(side_by_side, sides_run) -> None:
    """The method is told as it was used."""
    terms = [paragraph.term for paragraph in prepare(sides_run(side_by_side), side_by_side, {}).method]
    assert terms[:2] == ["Pairs", "Two witnesses"]
    assert {"Two passes", "Canaries", "Weak", "Budget"} <= set(terms)
    assert "Before anything fails" not in terms


def test_both_sides_are_drawn_on_one_scale(side_by_side, sides_run) -> None:
    """Base stands left of head where it is faster, every process has a dot, and counts have no whiskers."""
    page = prepare(sides_run(side_by_side), side_by_side, {})
    drawn = next(row.distribution for row in page.rows if row.metric == "latency")
    base, head = drawn.strips
    assert (base.side, head.side) == ("base", "head")
    assert float(base.middle) < float(head.middle)
    assert len(base.dots) == 3
    assert head.words == "median 924 µs, 90 % from 848 µs to 1.60 ms"
    row = sides_run(side_by_side).rows[0]
    single = replace(row, samples=tuple(replace(s, count=1) for s in row.samples))
    assert distribution(single).strips[1].whisker is None
    assert distribution(replace(row, base=())) is None


def test_weak_rows_are_marked(side_by_side, sides_run) -> None:
    """A weak row says so in words and colour, and its test only where it is the time per call that is weak."""
    page = prepare(sides_run(side_by_side), side_by_side, {})
    rows = {(row.test, row.metric): row for row in page.rows}
    weak, fine = rows["tests/test_busy.py::test_a", "latency"], rows["tests/test_calm.py::test_calm", "latency"]
    assert (weak.word, weak.style) == ("unchanged, weak", "v-unchanged weak")
    assert (fine.word, fine.style) == ("unchanged", "v-unchanged")
    assert {test.test: test.word for test in page.tests}["tests/test_calm.py::test_calm"] == "unchanged"


@pytest.mark.parametrize(
    ("verdict", "advice"),
    [
        (Verdict.REGRESSED, "Make it good again; the cards below say how to measure it"),
        (Verdict.NEW, "Base has none of these tests"),
        (Verdict.UNCHANGED, "There is nothing to do, but 1 time is weak"),
    ],
)
def test_advice_beside_a_commit(pairs, report_of, sides_run, verdict, advice) -> None:
    """What there is to do has nothing to do with a baseline."""
    report = report_of(pairs("t", verdict, detectable=0.4))
    assert prepare(sides_run(report), report, {}).advice.startswith(advice)
