"""A run and its verdicts for other programs: one module a format, each a function of the run, the report and a folder.

The folder is the one in the repository that node ids are relative to. The verdicts are those that the gate made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from pytest_pe_perf.model import GateReport, Run

from . import badge, github, gitlab, junit, markdown, sarif

RENDERERS: Mapping[str, Callable[[Run, GateReport, str], str]] = MappingProxyType(
    {
        "markdown": markdown.render,
        "annotations": github.render,
        "junit": junit.render,
        "sarif": sarif.render,
        "badge": badge.render,
        "gitlab": gitlab.render,
    }
)
