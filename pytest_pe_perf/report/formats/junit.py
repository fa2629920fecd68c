"""JUnit XML: a test case for each row, as Jenkins and GitLab read it.

Pytest's own JUnit file has a case for each test. This one says of every metric what became of it. Source of the format:
the schema junit-10.xsd of Jenkins' xUnit plugin.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.etree import ElementTree as ET

from pytest_pe_perf.model import METRICS, GateReport, Judgement, Key, Run
from pytest_pe_perf.report.cause import causes_of
from pytest_pe_perf.report.screen import printable
from pytest_pe_perf.report.terminal import failure
from pytest_pe_perf.report.wording import (
    Commits,
    bounds,
    commits_of,
    could_have_seen,
    left_open,
    measured_in,
    old_to_new,
    quantity,
    result,
    statement,
    threshold,
    worst_first,
)

# What XML cannot hold (https://www.w3.org/TR/xml/#charsets) and printable leaves: characters that are none.
_NOT_XML = re.compile("[\ufffe\uffff]")


def render(run: Run, report: GateReport, folder: str = "") -> str:  # noqa: ARG001 - as all formats
    """Return the document: a failed row is a failure; one that is left open is skipped, and so is what is in doubt."""
    commits = commits_of(run.context)
    judgements = worst_first(report)
    apart = len(report.skipped) + len(report.doubts)
    suite = ET.Element(
        "testsuite",
        name="pe-perf",
        tests=str(len(judgements) + apart),
        failures=str(sum(judgement.fails for judgement in judgements)),
        errors="0",
        skipped=str(sum(map(left_open, judgements)) + apart),
        timestamp=_xml(run.started),
    )
    properties = ET.SubElement(suite, "properties")
    facts = {"environment": report.environment.slug, "result": result(report, commits).sentence, **run.context}
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=_xml(name), value=_xml(value))
    causes = causes_of(judgements, run.profiles)
    for judgement in judgements:
        _add_case(suite, judgement, commits, causes)
    for item in report.skipped:
        case = ET.SubElement(suite, "testcase", _names(Key(item.test, "", "")))
        ET.SubElement(case, "skipped", message=_xml(item.why))
    for doubt in report.doubts:
        case = ET.SubElement(suite, "testcase", classname="pe-perf", name="the whole run")
        ET.SubElement(case, "skipped", message=_xml(f"could not tell: {doubt}"))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add_case(suite: ET.Element, judgement: Judgement, commits: Commits | None, causes: Mapping[Key, str]) -> None:
    case = ET.SubElement(suite, "testcase", _names(judgement.key))
    if judgement.fails:
        said = ET.SubElement(case, "failure", message=_xml(judgement.reason), type=judgement.verdict)
        said.text = "\n".join(map(_xml, failure(judgement, commits, causes).splitlines()))
    elif left_open(judgement):
        ET.SubElement(case, "skipped", message=_xml(f"{judgement.verdict}: {judgement.reason}"))
    ET.SubElement(case, "system-out").text = "\n".join(map(_xml, _facts(judgement, commits)))


def _facts(judgement: Judgement, commits: Commits | None) -> list[str]:
    comparison = judgement.comparison
    if comparison is None:
        return [statement(judgement), *([quantity(judgement, judgement.value)] if judgement.value is not None else [])]
    return [
        statement(judgement),
        old_to_new(judgement, comparison),
        f"95 % interval: {bounds(comparison)}",
        f"threshold: {threshold(comparison)}",
        f"could have seen: {could_have_seen(comparison)}",
        f"measured in: {measured_in(comparison, commits)}",
    ]


def _names(key: Key) -> dict[str, str]:
    """Return the names by which a reader groups a case and knows it again in the next run."""
    path, _, rest = key.test.partition("::")
    # What stands in brackets is the parameters' own.
    plain, bracket, parameters = rest.partition("[")
    *classes, function = plain.split("::")
    function = f"{function}{bracket}{parameters}" or path
    metric = METRICS[key.metric].name if key.metric else ""
    name = " ".join(part for part in (function, f"[{key.name}]" if key.name else "", metric) if part)
    module = path.removesuffix(".py").replace("/", ".")
    return {"classname": _xml(".".join((module, *classes))), "name": _xml(name)}


def _xml(words: str) -> str:
    return _NOT_XML.sub("\ufffd", printable(words))
