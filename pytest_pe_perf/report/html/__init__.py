"""The report as one HTML file that needs nothing else: no network, no second file, and no script to be read.

The sentence, what to do, the environment and the method are written as HTML. What the script shows is packed, and opened
as it is needed: the overview of all rows at once, the tests when somebody looks at them.
"""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import replace
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from pytest_pe_perf import __version__
from pytest_pe_perf.model import GateReport, Past, Run
from pytest_pe_perf.report.course import older_thinned, points
from pytest_pe_perf.report.data import prepare
from pytest_pe_perf.report.screen import printable
from pytest_pe_perf.report.views import Meta, Page

if TYPE_CHECKING:
    import markupsafe

# Bytes. A page that would be larger shows less of the older runs.
HARD_CAP = 3_000_000
# Each uses what the ones before it have: they are one script in the page.
SCRIPTS = (
    "dom.js",
    "format.js",
    "unpack.js",
    "state.js",
    "drawing.js",
    "row.js",
    "overview.js",
    "overlay.js",
    "trend.js",
    "rounds.js",
    "flame.js",
    "test.js",
    "keys.js",
    "main.js",
)
_IMPORT = re.compile(r"^import .*\n", re.MULTILINE)
_EXPORT = re.compile(r"^export ", re.MULTILINE)


def render(
    run: Run,
    report: GateReport,
    past: Past | None = None,
    *,
    title: str = "Performance report",
    command: str = "",
    commits: str = "",
) -> str:
    """Return the report of a run.

    ``past`` is the history of its rows. ``command`` is the one that measured it, ``commits`` the beginning of an address
    that ends with a commit; both may be empty.
    """
    meta = Meta(printable(title), __version__, printable(command), commits if commits.startswith("https://") else "")
    page = prepare(run, report, past or Past(), meta)
    whole = points(page.past)
    while True:
        shown = points(page.past)
        html = _html(page, f"{shown:,} of {whole:,}" if shown < whole else "")
        if len(html.encode()) <= HARD_CAP:
            return html
        page = replace(page, past=older_thinned(page.past))
        if points(page.past) == shown:
            return html


def _html(page: Page, thinned: str) -> str:
    # Imported here: a test run that writes no report must not pay for a template engine.
    import jinja2

    from .chunks import chunks
    from .pack import text

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    library = _part("vendor/uPlot.iife.min.js")
    inline = {
        "theme": _markup(_part("script/theme.js")),
        "css": _markup(_part("page.css") + _part("flame.css") + _part("vendor/uPlot.min.css")),
        "script": _markup(joined()),
    }
    # The script makes an element of the library when a chart is asked for: the policy allows it by its text.
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"style-src {_hash(inline['css'])}; "
        f"script-src {' '.join(map(_hash, (inline['theme'], library, inline['script'])))}"
    )
    inline["uplot"] = _markup(text(library.encode()))
    template = environment.from_string(_part("template.html.j2"))
    # The macros at the head of the template leave blank lines, and a page begins with its doctype.
    return template.render(page=page, chunks=list(chunks(page)), thinned=thinned, policy=policy, **inline).lstrip()


@cache
def _part(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")


@cache
def joined() -> str:
    """Return the modules as one script without imports: a file has no address from which it could import another."""
    parts = [_EXPORT.sub("", _IMPORT.sub("", _part(f"script/{name}"))) for name in SCRIPTS]
    return '"use strict";\n(() => {\n' + "".join(parts) + "})();\n"


def _markup(text: str) -> markupsafe.Markup:
    import markupsafe

    # Our own files, not anybody's data: nothing else is left as it is.
    return markupsafe.Markup(text)  # noqa: S704


def _hash(text: str) -> str:
    """Return how a policy names a text: nothing but these very scripts and styles counts."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
