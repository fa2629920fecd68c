"""The report as one HTML file that needs nothing else: no network, no second file, no script to be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

from pytest_pe_perf import __version__
from pytest_pe_perf.model import GateReport, Key, Point, Run
from pytest_pe_perf.report.data import Meta, prepare
from pytest_pe_perf.report.screen import printable


def render(
    run: Run, report: GateReport, trends: Mapping[Key, Sequence[Point]], *, title: str = "Performance report"
) -> str:
    """Return the report of a run. ``trends`` holds the history of its rows, oldest point first; it may be empty."""
    # Imported here: a test run that writes no report must not pay for a template engine.
    import jinja2
    import markupsafe

    def part(name: str) -> str:
        return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")

    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(part("template.html.j2"))
    page = template.render(
        page=prepare(run, report, trends, Meta(printable(title), __version__)),
        # Our own files, not anybody's data: the only two things that are not escaped.
        css=markupsafe.Markup(part("style.css")),  # noqa: S704
        script=markupsafe.Markup(part("script.js")),  # noqa: S704
    )
    # The macros at the head of the template leave blank lines, and a page begins with its doctype.
    return page.lstrip()
