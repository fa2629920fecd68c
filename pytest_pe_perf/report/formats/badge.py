"""The JSON from which shields.io draws a badge: https://shields.io/badges/endpoint-badge."""

from __future__ import annotations

import json

from pytest_pe_perf.model import GateReport, Run
from pytest_pe_perf.report.wording import Level, in_short, result

_COLOUR: dict[Level, str] = {"bad": "red", "unsure": "yellow", "good": "brightgreen"}


def render(run: Run, report: GateReport, folder: str = "") -> str:  # noqa: ARG001 - as all formats
    """Return the badge."""
    content = {
        "schemaVersion": 1,
        "label": "performance",
        "message": in_short(report),
        "color": _COLOUR[result(report).level],
    }
    return json.dumps(content) + "\n"
