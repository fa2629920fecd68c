"""Files of pytest-benchmark, read and written: what ``--benchmark-save`` and ``--benchmark-json`` make since 3.0."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from pytest_pe_perf.environment import cpu_from_brand, cpu_from_cpuinfo, cpu_from_windows
from pytest_pe_perf.errors import HistoryError
from pytest_pe_perf.history.record import IMPORTED, Record, Value, make_record
from pytest_pe_perf.model import Environment, Judgement, Key, Row, Run, Sample

# The environment of a file that we wrote, among the facts about its machine.
_OURS = "pe_perf_environment"
_HEX = frozenset("0123456789abcdef")


class _Stats(msgspec.Struct):
    min: float


class _Benchmark(msgspec.Struct):
    fullname: str
    stats: _Stats


class _File(msgspec.Struct):
    benchmarks: list[_Benchmark]
    datetime: str
    version: str = ""
    machine_info: dict[str, Any] | None = None
    commit_info: dict[str, Any] | None = None


# --- in -----------------------------------------------------------------------------------------------------------


def read(path: Path, data: bytes) -> Record:
    """Return the run that a file holds: of each benchmark the fastest round, which is what we compare.

    Raises:
        HistoryError: it is not a file of pytest-benchmark.

    """
    try:
        found = _decoded(data)
        machine = found.machine_info or {}
        values = [
            Value(Key(benchmark.fullname, "", "latency"), benchmark.stats.min, verdict=IMPORTED)
            for benchmark in found.benchmarks
        ]
        context = _context(machine, found.commit_info or {}) | {"imported": f"pytest-benchmark {found.version}".strip()}
        return make_record(found.datetime, _slug(machine), context, values)
    except (ValueError, TypeError, RecursionError) as error:
        raise HistoryError(f"{path} is not a file of pytest-benchmark: {error}") from error
    except HistoryError as error:
        raise HistoryError(f"{path}: {error.args[0]}") from error


def _decoded(data: bytes) -> _File:
    try:
        return msgspec.json.decode(data, type=_File)
    except msgspec.ValidationError:
        raise
    except msgspec.DecodeError:
        # It writes NaN and Infinity, which JSON does not have and Python reads.
        return msgspec.convert(json.loads(data), _File)


def _slug(machine: Mapping[str, Any]) -> str:
    """Return the environment, in the words that we have for it as far as the facts go: 3.0 says nothing of the CPU."""
    if isinstance(ours := machine.get(_OURS), str):
        return ours
    cpu = machine.get("cpu")
    facts = cpu if isinstance(cpu, dict) else {}
    cores = facts.get("count")
    return Environment(
        implementation=_word(machine, "python_implementation").lower(),
        python=".".join(_word(machine, "python_version").split(".")[:2]),
        os=_word(machine, "system").lower(),
        cpu=_cpu(machine, facts),
        cores=cores if isinstance(cores, int) else 0,
    ).slug


def _cpu(machine: Mapping[str, Any], facts: Mapping[str, Any]) -> str:
    architecture, system = _word(machine, "machine"), machine.get("system")
    # The names of py-cpuinfo since 6.0, and before.
    brand = str(facts.get("brand_raw") or facts.get("brand") or "")
    vendor = facts.get("vendor_id_raw") or facts.get("vendor_id")
    if system == "Linux" and vendor and "family" in facts and "model" in facts:
        text = f"vendor_id: {vendor}\ncpu family: {facts['family']}\nmodel: {facts['model']}\n"
        return cpu_from_cpuinfo(architecture, text)
    if system == "Windows":
        return cpu_from_windows(architecture, str(machine.get("processor") or brand))
    return cpu_from_brand(architecture, brand)


def _word(machine: Mapping[str, Any], name: str) -> str:
    found = machine.get(name)
    return found if isinstance(found, str) and found else "unknown"


def _context(machine: Mapping[str, Any], commit: Mapping[str, Any]) -> dict[str, str]:
    # "unknown" stands for no repository.
    name = str(commit.get("id") or "")
    facts = {"commit": name if name and set(name) <= _HEX else ""}
    if isinstance(commit.get("dirty"), bool):
        facts["dirty"] = "yes" if commit["dirty"] else "no"
    branch = commit.get("branch")
    # A name in brackets is none: it is unknown, or the head is detached.
    facts["branch"] = branch if isinstance(branch, str) and not branch.startswith("(") else ""
    return facts | {"python": _word(machine, "python_version")}


# --- out ----------------------------------------------------------------------------------------------------------


def render(run: Run, judgements: Sequence[Judgement]) -> str:
    """Return the times of a run as pytest-benchmark writes them; other metrics stand in ``extra_info``.

    We keep seven quantiles of the readings: mean and standard deviation are those of a distribution that is even
    between them, up to 95 %. Of what is beyond only the slowest reading is known, and the others are taken for no worse
    than the 95 % quantile. Outliers are not known.
    """
    verdicts = {judgement.key: judgement.verdict.value for judgement in judgements}
    others: dict[tuple[str, str], dict[str, object]] = {}
    for judgement in judgements:
        if judgement.key.metric != "latency" and judgement.value is not None:
            extra = others.setdefault((judgement.key.test, judgement.key.name), {})
            extra[judgement.key.metric] = judgement.value
    benchmarks = [
        _benchmark(row, {"verdict": verdicts.get(row.key, ""), **others.get((row.key.test, row.key.name), {})})
        for row in run.rows
        if row.key.metric == "latency" and row.samples
    ]
    content = {
        "machine_info": _machine(run),
        "commit_info": {
            "id": run.context.get("commit", "") or "unknown",
            "dirty": run.context.get("dirty") == "yes",
            "branch": run.context.get("branch", "") or "(unknown)",
        },
        "benchmarks": benchmarks,
        "datetime": run.started,
        "version": run.context.get("pytest-benchmark", ""),
    }
    return json.dumps(content, indent=4) + "\n"


def _machine(run: Run) -> dict[str, object]:
    environment = run.environment
    return {
        "machine": environment.cpu.partition("-")[0],
        "python_implementation": environment.implementation,
        "python_version": run.context.get("python", environment.python),
        "system": environment.os,
        "cpu": {"brand_raw": run.context.get("cpu", ""), "count": environment.cores},
        _OURS: environment.slug,
    }


def _benchmark(row: Row, extra: dict[str, object]) -> dict[str, object]:
    test = row.key.test.rpartition("::")[2]
    return {
        "group": None,
        "name": f"{test} [{row.key.name}]" if row.key.name else test,
        "fullname": row.key.label,
        "params": None,
        "param": None,
        "extra_info": extra,
        "options": {},
        "stats": _stats(row.samples),
    }


def _stats(samples: Sequence[Sample]) -> dict[str, object]:
    rounds = sum(sample.count for sample in samples)
    weights = [sample.count / rounds for sample in samples]
    quantiles = [sample.quantiles or (sample.value,) * len(_SHARES) for sample in samples]
    low, high = min(q[0] for q in quantiles), max(q[-1] for q in quantiles)
    low = min(low, *(sample.value for sample in samples))
    q1, median, q3 = (math.fsum(w * q[at] for w, q in zip(weights, quantiles, strict=True)) for at in (2, 3, 4))
    moments = [_moments(q, sample.count) for q, sample in zip(quantiles, samples, strict=True)]
    mean, square = (math.fsum(w * m[at] for w, m in zip(weights, moments, strict=True)) for at in (0, 1))
    return {
        "min": low,
        "max": high,
        "mean": mean,
        "stddev": math.sqrt(max(square - mean * mean, 0.0)),
        "rounds": rounds,
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": 0,
        "stddev_outliers": 0,
        "outliers": "?;?",
        "ld15iqr": max(low, q1 - 1.5 * (q3 - q1)),
        "hd15iqr": min(high, q3 + 1.5 * (q3 - q1)),
        "ops": 1 / mean if mean else 0.0,
        "total": mean * rounds,
        "iterations": samples[0].calls,
    }


# Of the quantiles of a sample.
_SHARES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)


def _moments(quantiles: Sequence[float], count: int) -> tuple[float, float]:
    """Return mean and mean square of ``count`` readings that have these quantiles."""
    *even, most = zip(pairwise(_SHARES), pairwise(quantiles), strict=True)
    pieces = [(p1 - p0, a, b) for (p0, p1), (a, b) in even]
    (p0, p1), (high, worst) = most
    slowest = min(1 / count, p1 - p0)
    pieces += [(p1 - p0 - slowest, high, high), (slowest, worst, worst)]
    mean = math.fsum(share * (a + b) / 2 for share, a, b in pieces)
    return mean, math.fsum(share * (a * a + a * b + b * b) / 3 for share, a, b in pieces)
