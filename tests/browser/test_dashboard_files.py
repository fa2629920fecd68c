"""What the page is made of, without a browser."""

import re
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest

PAGE = files("engine_opt.monitoring.dashboard") / "page"
OURS = Path(str(PAGE))
VENDORED = [
    OURS / "vendor",
    Path(__file__).parents[2] / "pytest_pe_perf/report/html/vendor",
    Path(__file__).parent / "vendor",
]


class Tags(HTMLParser):
    """The tags of a page with their attributes, and the texts of scripts and styles."""

    def __init__(self, html):
        super().__init__()
        self.tags, self.inline, self._inside = [], "", False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._inside = tag in {"script", "style"}

    def handle_data(self, data):
        self.inline += data.strip() if self._inside else ""


@pytest.fixture(scope="module")
def page():
    return Tags((OURS / "index.html").read_text("utf-8"))


def test_the_page_has_neither_inline_scripts_nor_styles_and_loads_only_what_is_there(page):
    assert page.inline == ""
    loaded = [attrs.get("src") or attrs.get("href") for tag, attrs in page.tags if tag in {"script", "link"}]
    assert loaded
    for path in loaded:
        assert (OURS / path.removeprefix("static/")).is_file(), path
    for _, attrs in page.tags:
        assert not [name for name in attrs if name == "style" or name.startswith("on")]


def test_every_field_of_the_dialogue_has_a_label(page):
    fields = [attrs for tag, attrs in page.tags if tag in {"input", "select"}]
    labels = [attrs for tag, attrs in page.tags if tag == "label"]
    assert [each["name"] for each in fields] == [each["data-field"] for each in labels]


def test_scripts_find_what_the_page_has(page):
    """Each `find("id")` of a script names an element of the page; nothing is set as markup, nothing comes from afar."""
    known = {attrs["id"] for _, attrs in page.tags if "id" in attrs}
    for script in OURS.glob("*.js"):
        text = script.read_text("utf-8")
        assert set(re.findall(r'find\("([^"]+)"\)', text)) <= known, script.name
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|https?://", text), (
            script.name
        )


def test_both_ways_to_the_dark_theme_have_the_same_colours():
    css = (OURS / "dashboard.css").read_text("utf-8")
    chosen = re.search(r':root\[data-theme="dark"\] \{(.*?)\}', css, re.DOTALL)[1]
    systems = re.search(r':root:not\(\[data-theme="light"\]\) \{(.*?)\}', css, re.DOTALL)[1]
    assert chosen.split() == systems.split()
    light = re.search(r":root \{(.*?)\}", css, re.DOTALL)[1]
    assert set(re.findall(r"(--[\w-]+):", chosen)) | {"--sans"} == set(re.findall(r"(--[\w-]+):", light))


@pytest.mark.parametrize("folder", VENDORED, ids=["page", "report", "tests"])
def test_what_is_vendored_is_what_was_published(folder):
    note = (folder / "README.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\S+)` \| `([0-9a-f]{64})` \|$", note, re.MULTILINE)
    assert {name for name, _ in rows} == {each.name for each in folder.iterdir()} - {"README.md"}
    for name, checksum in rows:
        assert sha256((folder / name).read_bytes()).hexdigest() == checksum
