"""SARIF 2.1.0, which GitHub's code scanning and many editors show at the lines of the tests.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from pytest_pe_perf import __version__
from pytest_pe_perf.model import METRICS, GateReport, Judgement, Key, Run
from pytest_pe_perf.report.cause import causes_of
from pytest_pe_perf.report.screen import printable
from pytest_pe_perf.report.terminal import failure
from pytest_pe_perf.report.wording import MEANING, Commits, commits_of, result, statement, worst_first

from .place import fingerprint, place_of, tells

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_HELP = "The message of each result says how to measure its test again, and what else can be done."
_HELP_WITH_NOTES = "Such a row fails no test. The message of each result says what keeps it from being judged."
# GitHub shows so many results of a run, and drops the others.
MOST = 5000


def render(run: Run, report: GateReport, folder: str = "") -> str:
    """Return the log: failed rows as errors, those that could not be told as notes, the worst first."""
    commits = commits_of(run.context)
    rows = [judgement for judgement in worst_first(report) if tells(judgement)]
    shown = rows[:MOST]
    causes = causes_of(shown, run.profiles)
    rules = {_rule_id(judgement): _rule(judgement) for judgement in shown}
    places = {name: number for number, name in enumerate(rules)}
    said = [result(report, commits).sentence]
    said += [f"{len(rows) - MOST} more rows are left out"] if len(rows) > MOST else []
    log = {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "pe-perf", "version": __version__, "rules": list(rules.values())}},
                "automationDetails": {"id": f"pe-perf/{report.environment.slug}/"},
                "invocations": [
                    {
                        "executionSuccessful": True,
                        "toolExecutionNotifications": [
                            {"level": "note", "message": {"text": _sentence(words)}} for words in said
                        ],
                    }
                ],
                "columnKind": "unicodeCodePoints",
                "results": [_result(judgement, commits, causes, folder, places) for judgement in shown],
            }
        ],
    }
    return json.dumps(log, indent=1, ensure_ascii=False) + "\n"


def _rule_id(judgement: Judgement) -> str:
    return f"{judgement.verdict.replace(' ', '-')}/{judgement.key.metric}"


def _rule(judgement: Judgement) -> dict[str, Any]:
    metric = METRICS[judgement.key.metric]
    name = "".join(part.title() for part in (*judgement.verdict.split(), metric.name))
    told = f"{metric.title}: {judgement.verdict}"
    return {
        "id": _rule_id(judgement),
        "name": name,
        "shortDescription": {"text": _sentence(_capital(told))},
        "fullDescription": {"text": _sentence(_capital(f"{told}: {MEANING[judgement.verdict]}"))},
        "help": {"text": _HELP if judgement.fails else _HELP_WITH_NOTES},
        "defaultConfiguration": {"level": _level(judgement)},
        "properties": {"tags": ["performance"]},
    }


def _result(
    judgement: Judgement, commits: Commits | None, causes: Mapping[Key, str], folder: str, places: dict[str, int]
) -> dict[str, Any]:
    known = fingerprint(judgement)
    message = failure(judgement, commits, causes) if judgement.fails else statement(judgement)
    return {
        "ruleId": _rule_id(judgement),
        "ruleIndex": places[_rule_id(judgement)],
        "level": _level(judgement),
        "message": {"text": _sentence(message)},
        # The first is ours; the second is the one by which GitHub knows an alert again.
        "partialFingerprints": {"peperfRow/v1": known, "primaryLocationLineHash": f"{known}:1"},
        "locations": [_location(judgement, folder)],
    }


def _location(judgement: Judgement, folder: str) -> dict[str, Any]:
    test = printable(judgement.key.test)
    location: dict[str, Any] = {"logicalLocations": [{"fullyQualifiedName": test, "kind": "function"}]}
    place = place_of(judgement, folder)
    if place is None:
        return location
    physical: dict[str, Any] = {"artifactLocation": {"uri": quote(place.path), "uriBaseId": "%SRCROOT%"}}
    if place.line:
        physical["region"] = {"startLine": place.line}
    return {"physicalLocation": physical, **location}


def _level(judgement: Judgement) -> str:
    return "error" if judgement.fails else "note"


def _capital(words: str) -> str:
    return words[:1].upper() + words[1:]


def _sentence(words: str) -> str:
    """Return a message in which nothing is a placeholder (3.11.5) or a link (3.11.6)."""
    words = re.sub(r"\{(\d+)\}", r"{{\1}}", words).replace("](", "\\](")
    return words if words.endswith(".") else f"{words}."
