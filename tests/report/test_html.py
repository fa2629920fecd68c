"""The HTML report: one file, offline, escaped; without its script still the sentence and what failed."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import zlib
from dataclasses import replace
from html.parser import HTMLParser
from importlib import resources

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytest_pe_perf.history.past import recall
from pytest_pe_perf.history.store import open_history
from pytest_pe_perf.judge.packed import pack
from pytest_pe_perf.model import (
    Block,
    Course,
    Key,
    PairedRow,
    Pairs,
    Past,
    PastRun,
    Restart,
    Skipped,
    Turn,
    Verdict,
)
from pytest_pe_perf.report import html as page_module
from pytest_pe_perf.report.data import Meta, anchor, prepare
from pytest_pe_perf.report.distribution import distribution
from pytest_pe_perf.report.html import SCRIPTS, joined, render
from pytest_pe_perf.report.links import commits_at
from pytest_pe_perf.report.rounds import MOST, pairs_of
from pytest_pe_perf.report.screen import printable

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


def past_of(keys, count=40, verdict="unchanged", commit="c0ffee", value=1e-3) -> Past:
    """A history of so many runs in which each row has a point."""
    runs = tuple(
        PastRun(
            f"2026-10-{1 + i // 24:02d}T{i % 24:02d}:00:00+00:00",
            "before" if i < count // 2 else "here",
            {"commit": f"{commit}{i}"},
        )
        for i in range(count)
    )
    values = tuple(value * (1 + i % 7 / 100) for i in range(count))
    course = Course(tuple(range(count)), values, (0.98,) * count, (1.03,) * count, (verdict,) * count)
    return Past(runs, dict.fromkeys(keys, course))


def chunk(html, name):
    """What the script reads, out of the page."""
    text = re.search(rf'<script type="text/plain" id="{name}">([^<]*)</script>', html)[1]
    data = zlib.decompress(base64.b64decode(text))
    return data if name.startswith("d-numbers") else json.loads(data)


def prepared(run, report, past=None):
    return prepare(run, report, past or Past(), Meta())


@pytest.fixture(scope="session")
def html(everything, run_of) -> str:
    past = past_of([judgement.key for judgement in everything.judgements])
    return render(run_of(everything, context={"commit": "483c483a1b2c", "load": "2.1"}), everything, past)


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


def test_answer_stands_first(html) -> None:
    """The first heading says whether it is well, with a sign, and the advice follows."""
    page = Page(html)
    assert "▲ 2 tests failed 2 regressed, 1 over budget" in page.words
    assert "Make it good again, or accept it with a reason" in page.words


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


def test_cards_hold_the_commands(html) -> None:
    """A failing row has commands to reproduce and to profile it, and one to accept it unless it is over budget."""
    words = Page(html).words
    cards = words[words.index("What to do") : words.index("Not measured, and notes")]
    commands = re.findall(r"(?:reproduce|accept|profile) ((?:pytest|pe-perf|python) .*?) Copy", cards)
    quote = "tests/test_api.py::test_quote"
    assert commands == [
        f"pytest {quote} --pe-perf",
        f'pe-perf update {quote} --reason "..."',
        f"python -m memray run -o profile.bin -m pytest {quote}",
        f"pytest {quote} --pe-perf",
        f'pe-perf update {quote} --reason "..."',
        f"python -m cProfile -s cumulative -m pytest {quote}",
        "pytest tests/perf/test_startup.py::test_import --pe-perf",
        "python -m cProfile -s cumulative -m pytest tests/perf/test_startup.py::test_import",
    ]


def test_copied_commands_are_exact(judgement, report_of, run_of) -> None:
    """The text of a command's element is the command to the last blank."""
    test = "t.py::test[two  blanks 'quoted']"
    report = report_of(judgement(test, Verdict.REGRESSED, base=1e-3, head=2e-3))
    html = render(run_of(report), report)
    codes = ["".join(Page(f"<code>{code}</code>").text) for code in re.findall(r"<code dir=\"ltr\">(.*?)</code>", html)]
    assert codes[:2] == [
        "pytest 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --pe-perf",
        "pe-perf update 't.py::test[two  blanks '\"'\"'quoted'\"'\"']' --reason \"...\"",
    ]


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
    assert [attrs.get("type") for tag, attrs in page.tags if tag == "script"].count(None) == 3


def test_this_run_ends_the_history_once(judgement, report_of, run_of) -> None:
    """The current run is the last point, whether or not the history holds it already."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    run, key = run_of(report), Key("t", "", "latency")
    page = prepared(run, report, past_of([key], 3))
    assert (page.now, len(page.past.courses[key].values)) == (3, 4)
    assert prepared(run, report, page.past).past == page.past


def test_the_history_itself_ends_with_this_run(judgement, report_of, run_of, tmp_path) -> None:
    """A run that was appended to a real history is one point of what is read back from it, not two."""
    report = report_of(judgement("tests/test_a.py::test_a", Verdict.UNCHANGED, base=1e-3))
    run = run_of(report)
    with open_history(tmp_path / "history.sqlite") as history:
        history.append(run, report)
        past = recall(history, run.environment.slug, [row.key for row in run.rows])
    page = prepared(run, report, past)
    assert (page.now, len(page.past.runs)) == (0, 1)


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


def test_where_to_look(judgement, report_of, run_of) -> None:
    """A card names what grew besides, the commit at which the level rose, or the last one that was well."""
    time = judgement("t.py::a", Verdict.REGRESSED, base=1e-3, head=1.5e-3)
    counts = judgement("t.py::a", Verdict.REGRESSED, metric="allocations", base=10.0, head=12.0)
    report = report_of(time, counts)
    context = {"commit": "feedface"}
    past = past_of([time.key], 40)
    hints = {row.metric: row.hints for row in prepared(run_of(report, context=context), report, past).rows}
    assert [hint.text for hint in hints["latency"]] == [
        "allocations of a call grew as well: 10 → 12, +20.0 %",
        "it was well last on 2026-10-02",
    ]
    assert hints["latency"][1].command == "pe-perf bisect c0ffee39..feedface t.py::a"
    values = tuple(1e-3 * (1 + i % 3 / 100) * (1.5 if i >= 30 else 1.0) for i in range(40))
    risen = replace(past, courses={time.key: replace(past.courses[time.key], values=values)})
    row = prepared(run_of(report, context=context), report, risen).cards[-1]
    assert [(hint.text, hint.commit) for hint in row.hints][1:] == [
        ("its level rose by +49.7 % on 2026-10-02", "c0ffee30")
    ]


def test_differences_of_the_machine(judgement, report_of, run_of) -> None:
    """What the run before was measured with is told where it differs; what moves by itself is not."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3))
    run = run_of(report, context={"python": "3.12.5", "load": "0.1", "memray": ""})
    before = PastRun("2026-10-01", run.environment.slug, {"python": "3.12.4", "load": "9.9", "memray": "1.20"})
    page = prepared(run, report, Past((before,), {}))
    assert [(one.name, one.old, one.new) for one in page.since] == [("python", "3.12.4", "3.12.5")]
    assert "another machine than the run before: python: 3.12.4 → 3.12.5" in re.sub(
        r" +", " ", Page(render(run, report, Past((before,), {}))).words.replace("before python", "before: python")
    )


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:ann/project.git", "https://github.com/ann/project/commit/"),
        ("https://ann:secret@gitlab.example.org:8443/a/b/c.git", "https://gitlab.example.org/a/b/c/-/commit/"),
        ("ssh://git@bitbucket.org/ann/project", "https://bitbucket.org/ann/project/commits/"),
        ("/srv/git/project.git", ""),
        ("C:\\work\\project", ""),
        ('https://example.org/a"onclick=alert(1)', ""),
    ],
)
def test_where_commits_are_shown(remote, address) -> None:
    """The address of a commit follows from the remote's, without what is secret of it."""
    assert commits_at(remote) == address


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
    page = prepared(run_of(report), report)
    assert page.headline == headline
    assert f'<h1 id="answer" tabindex="-1">{headline}</h1>' in render(run_of(report), report)


def test_skipped_tests_are_not_passed_over(judgement, report_of, run_of) -> None:
    """With a test that was not measured the headline is limited to what was."""
    report = report_of(judgement("t", Verdict.UNCHANGED, base=1e-3), skipped=(Skipped("u", "no memray"),))
    page = prepared(run_of(report), report)
    assert (page.level, page.headline) == ("unsure", "Nothing got worse where it was measured")
    assert "no memray" in Page(render(run_of(report), report)).words


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


@pytest.fixture(scope="session")
def pairs_html(side_by_side, sides_run) -> str:
    past = past_of([judgement.key for judgement in side_by_side.judgements], 12)
    return render(sides_run(side_by_side), side_by_side, past)


def test_page_of_pairs_draws_inside_its_drawings(pairs_html) -> None:
    """The readings of both sides stand between the edges."""
    strips = [
        strip
        for test in chunk(pairs_html, "d-tests-0")
        for row in test["rows"]
        if row["sides"]
        for strip in row["sides"]["strips"]
    ]
    assert strips
    for strip in strips:
        assert all(
            0 <= float(place) <= 100 for place in (*strip["box"], *strip["whisker"], *strip["dots"], strip["middle"])
        )


def test_page_of_pairs_offers_no_update(pairs_html) -> None:
    """Beside a commit there is no baseline: no command accepts, and the sides have their names."""
    details = " ".join(json.dumps(test, ensure_ascii=False) for test in chunk(pairs_html, "d-tests-0"))
    words = Page(pairs_html).words
    for foreign in ("pe-perf update", "equal machine speed"):
        assert foreign not in details
    assert "the working tree against 1a2b3c4d5e (main), measured side by side" in words
    for foreign in ("pe-perf update", "accepted", "equal machine speed", "baseline folder", "reference workload"):
        assert foreign not in words
    assert "pytest --pe-perf --pe-perf-against main tests/test_api.py::test_quote Copy" in words
    assert "Nothing to update: the next comparison starts from the commit that this is merged into" in words
    assert '["measured in", "6 pairs of processes"]' in details
    assert '["measured in", "3 processes a side"]' in details
    assert "canaries: a planted +5.0 % was seen as +5.3 %" in words


def test_method_of_pairs_tells_how_pairs_decide(side_by_side, sides_run) -> None:
    """The method is told as it was used."""
    terms = [paragraph.term for paragraph in prepared(sides_run(side_by_side), side_by_side).method]
    assert terms[:2] == ["Pairs", "Two witnesses"]
    assert {"Two passes", "Canaries", "Weak", "Budget"} <= set(terms)
    assert "Before anything fails" not in terms


def test_both_sides_are_drawn_on_one_scale(side_by_side, sides_run) -> None:
    """Base stands left of head where it is faster, every process has a dot, and counts have no whiskers."""
    page = prepared(sides_run(side_by_side), side_by_side)
    drawn = next(row.distribution for row in page.rows if row.metric == "latency")
    base, head = drawn.strips
    assert (base.side, head.side) == ("base", "head")
    assert float(base.middle) < float(head.middle)
    assert len(base.dots) == 3
    assert head.words == "median 924 µs, 90 % from 848 µs to 1.60 ms"
    row = sides_run(side_by_side).rows[0]
    single = replace(row, samples=tuple(replace(s, count=1) for s in row.samples))
    assert distribution(single).strips[1].whisker is None
    alone = distribution(replace(row, base=()))
    assert [strip.side for strip in alone.strips] == ["now"]
    assert distribution(replace(row, samples=(), base=())) is None


def test_weak_rows_are_marked(side_by_side, sides_run) -> None:
    """A weak row says so in words and colour."""
    page = prepared(sides_run(side_by_side), side_by_side)
    rows = {(row.test, row.metric): row for row in page.rows}
    weak, fine = rows["tests/test_busy.py::test_a", "latency"], rows["tests/test_calm.py::test_calm", "latency"]
    assert (weak.word, weak.style) == ("unchanged, weak", "v-unchanged weak")
    assert (fine.word, fine.style) == ("unchanged", "v-unchanged")


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
    assert prepared(sides_run(report), report).advice.startswith(advice)


def test_rounds_of_pairs(side_by_side, sides_run) -> None:
    """What the pairs saw is told in the order of time, thinned where it is much, and disturbed rounds are marked."""

    def restart(ratio, away=0.0):
        turn = Turn(1e-3, 9e-4)
        blocks = [Block((turn,), (Turn(ratio * 1e-3, 9e-4, away if n == 1 else 0.0),)) for n in range(300)]
        return Restart(tuple(blocks))

    key = Key("tests/test_api.py::test_quote", "", "latency")
    row = PairedRow(key, "source", 0.05, 0.01, (restart(1.1), restart(1.2)), (restart(1.3, away=0.9),))
    run = replace(sides_run(side_by_side), pairs=(Pairs((pack(row),)),))
    found = pairs_of(run)[key]
    assert [(round(pair.middle, 6), pair.again) for pair in found] == [(1.1, False), (1.2, False), (1.3, True)]
    assert sum(len(pair.ratios) for pair in found) <= MOST
    rows = chunk(render(run, side_by_side), "d-tests-0")[0]["rows"]
    pairs = next(row["pairs"] for row in rows if row["metric"] == "latency")
    assert [(middle, again) for _, _, middle, again in pairs] == [(953, 0), (1823, 0), (2624, 1)]
