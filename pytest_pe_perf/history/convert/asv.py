"""Results of airspeed velocity: the files of its results folder, in the formats 1 and 2.

Format and meaning: https://asv.readthedocs.io/en/stable/dev.html#benchmark-suite-layout-and-file-formats
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any

from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.record import IMPORTED, Record, Value, make_record
from pytest_pe_perf.model import Key

INDEX = "benchmarks.json"
_NEWEST = 2
# Kinds of benchmarks that measure what a metric of ours is. The others are `mem`, the size of an object, and `track`,
# any number at all.
_METRICS = {"time": "latency", "timeraw": "latency", "peakmem": "peak", "peakmemory": "peak"}
_UNSAFE = re.compile(r"[^\w.+-]+")


def read(folder: Path) -> Iterator[Record]:
    """Yield the runs of a results folder. A result of an older version of a benchmark is left out, as asv does.

    Asv keeps a median where our minimum stands, and the date of the commit and not of the run.

    Raises:
        HistoryError: a file cannot be read, or is newer.

    """
    index = _load(folder / INDEX)
    for path in sorted(folder.glob("*/*.json")):
        if path.name != "machine.json":
            yield _run(path, _load(path), index)


def _load(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise HistoryError(f"cannot read {path}: {error}") from error
    if not isinstance(found, dict):
        raise HistoryError(f"{path} is not a file of asv: no table")
    version = found.get("version", 1)
    if not isinstance(version, int) or version > _NEWEST:
        raise HistoryError(f"{path} has format {version}, newer than the {_NEWEST} that this version understands")
    return found


def _run(path: Path, found: Mapping[str, Any], index: Mapping[str, Any]) -> Record:
    try:
        machine, environment = found["params"].get("machine", path.parent.name), found.get("env_name", "")
        slug = _UNSAFE.sub("-", f"asv-{machine}-{environment or path.stem.partition('-')[2]}")
        started = datetime.fromtimestamp(found["date"] / 1000, UTC).isoformat()
        context = {"commit": found["commit_hash"], "python": str(found.get("python", "")), "imported": "asv"}
        return make_record(started, slug, context, _values(found, index))
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise HistoryError(f"{path} is not a result of asv: {type(error).__name__}: {error}") from error


def _values(found: Mapping[str, Any], index: Mapping[str, Any]) -> Iterator[Value]:
    for name, entry in found["results"].items():
        known = index.get(name, {})
        kind = known.get("type") or name.rpartition(".")[2].partition("_")[0]
        columns = _columns(entry, found.get("result_columns"))
        version = columns.get("version")
        old = version is not None and version != known.get("version", version)
        if old or kind not in _METRICS:
            continue
        parameters = product(*(columns.get("params") or []))
        for names, value in zip(parameters, columns.get("result") or [], strict=False):
            # null is a failure, and NaN a benchmark that skipped itself.
            if value is not None and math.isfinite(value):
                yield Value(Key(name, ", ".join(names), _METRICS[kind]), float(value), verdict=IMPORTED)


def _columns(entry: Any, names: list[str] | None) -> dict[str, Any]:
    """Return the fields of a result. Format 1 has a table, or a number alone, or null."""
    if names is not None:
        return dict(zip(names, entry, strict=False))
    columns = dict(entry) if isinstance(entry, dict) else {"result": entry}
    if not isinstance(columns["result"], list):
        columns["result"] = [columns["result"]]
    return columns
