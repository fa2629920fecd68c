"""``pe-perf export``: a run for other programs."""

from __future__ import annotations

from pathlib import Path

import click

from .project import RUN_FILE, find_root


@click.command(epilog="Example: pe-perf export --format pytest-benchmark --output benchmark.json")
@click.option(
    "--format",
    "name",
    type=click.Choice(["pytest-benchmark", "csv", "json", "openmetrics"]),
    required=True,
    help="For whom: see below.",
)
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; by default it is printed.")
@click.option(
    "--run",
    "run_file",
    type=click.Path(path_type=Path, dir_okay=False),
    help=f"The run; by default {RUN_FILE} here or in a folder above.",
)
def export(name: str, output: Path | None, run_file: Path | None) -> None:
    """Write the last run for another program.

    pytest-benchmark: what `pytest-benchmark compare` and the `pytest` tool of github-action-benchmark read; times only.
    csv, json: every value, one a line. openmetrics: for Prometheus.

    Exit status: 0 done, 2 usage or a run that cannot be read.
    """
    from pytest_pe_perf.history.convert import openmetrics, pytest_benchmark, tables
    from pytest_pe_perf.history.convert.run_file import read

    from .history import write

    run, report = read(run_file or find_root(Path.cwd()) / RUN_FILE)
    if name == "pytest-benchmark":
        write([pytest_benchmark.render(run, report.judgements)], output)
        return
    from pytest_pe_perf.history.record import record_of

    record = record_of(run, report)
    if name == "openmetrics":
        write([openmetrics.render(record)], output)
    else:
        write((tables.csv_lines if name == "csv" else tables.json_lines)([record]), output)
