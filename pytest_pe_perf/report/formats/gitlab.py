"""A Code Quality report, which GitLab shows beside the changes of a merge request.

Source: https://docs.gitlab.com/ci/testing/code_quality/#code-quality-report-format.
"""

from __future__ import annotations

import json

from pytest_pe_perf.model import GateReport, Run
from pytest_pe_perf.report.wording import statement, worst_first

from .place import fingerprint, place_of, tells


def render(run: Run, report: GateReport, folder: str = "") -> str:  # noqa: ARG001 - as all formats
    """Return the rows that fail, and as mere information those that could not be told."""
    found = []
    for judgement in worst_first(report):
        place = place_of(judgement, folder)
        if place is None or not tells(judgement):
            continue
        found.append(
            {
                "description": statement(judgement),
                "check_name": f"pe-perf {judgement.verdict}",
                "fingerprint": fingerprint(judgement),
                "severity": "major" if judgement.fails else "info",
                "location": {"path": place.path, "lines": {"begin": place.line or 1}},
            }
        )
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
