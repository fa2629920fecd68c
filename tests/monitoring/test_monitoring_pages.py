"""The pages on monitoring: their Python runs from top to bottom, their SQL is understood, and what they promise is so."""

import contextlib
import io
import re
import time
from pathlib import Path
from urllib.request import urlopen

import pytest

from engine_opt.engine_metrics import TABLES
from engine_opt.monitoring.alerting_system import Phase
from engine_opt.monitoring.histogram import HistogramRecorder
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.openmetrics import Form
from engine_opt.monitoring.performance_monitor import PerformanceMonitor
from engine_opt.monitoring.samples import Collection, MetricInfo, Sample, SampleKind, SeriesKey
from engine_opt.optimization.cache import Cache

DOCS = Path(__file__).parents[2] / "docs"
RESIDENT = MetricInfo("process_resident_memory_bytes", SampleKind.GAUGE, "Memory in use.")
DECISION = MetricInfo("engine_decision_seconds", SampleKind.HISTOGRAM, "Time of a decision.")
PATIENCE = 20.0


def blocks(page, language):
    return re.findall(rf"^```{language}\n(.*?)^```$", DOCS.joinpath(page).read_text("utf-8"), re.MULTILINE | re.DOTALL)


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return a function that runs pieces of Python in a folder of their own, one after the other, with these names."""
    monkeypatch.chdir(tmp_path)

    def in_turn(pieces, **names):
        for piece in pieces:
            exec(compile(piece, "page", "exec"), names)
        return names

    return in_turn


@pytest.fixture
def monitor():
    with PerformanceMonitor() as monitor:
        monitor.counter("decisions", "Decisions taken.").inc(3)
        yield monitor


def kept(where):
    """The names of what was collected last."""
    with open_store(where, read_only=True) as store:
        return {sample.key.name for sample in store.last().samples}


def test_an_engine_of_yours_is_watched(run):
    run(blocks("howto/watch-the-engine.md", "python"))
    assert {"engine_bars", "engine_decision_seconds", RESIDENT.name} <= kept("metrics.db")


def test_what_counts_is_collected(run, monitor):
    table = TABLES["engine_opt.optimization.cache.Cache"]
    with Cache(max_items=2) as cache:
        run(blocks("optimization/store.md", "python"), monitor=monitor, cache=cache, table=table)
    assert {"decisions", "cache_hits", RESIDENT.name} <= kept("metrics.db")


def test_prometheus_gets_a_page(run):
    pieces = [piece.replace("9100", "0") for piece in blocks("howto/scrape-with-prometheus.md", "python")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        names = run(pieces)
    server = names["server"]
    server.RequestHandlerClass.log_message = lambda *_: None
    with contextlib.ExitStack() as stack:
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        with urlopen(f"http://127.0.0.1:{server.server_port}", timeout=PATIENCE) as answer:
            text = answer.read().decode()
    assert answer.headers["Content-Type"] == Form.OPENMETRICS.content_type
    assert said.getvalue() == text.splitlines(keepends=True)[-1] == "# EOF\n"
    assert "engine_bars_total 300" in text


def test_postgresql_keeps_it_and_answers_in_sql(run, monitor, postgres, new_schema):
    page, where = "howto/send-metrics-to-postgresql.md", new_schema()
    schema = where.rpartition("%3D")[2]
    first, *rest = blocks(page, "python")
    run([re.sub(r'^url = ".*"$', f"url = {where!r}", first, flags=re.MULTILINE), *rest], monitor=monitor)
    assert "decisions" in kept(where)
    query = blocks(page, "sql")[-1]
    assert "engine_a.metric_sample" in query
    postgres.psql(query.replace("engine_a", schema))


def test_alerts_are_evaluated_and_one_that_fires_is_taken_on(run, tmp_path, monkeypatch):
    """Memory has grown for some minutes as it must not go on; between two evaluations somebody looks after it."""
    (rules,) = blocks("howto/alert-on-a-metric.md", "toml")
    evaluating, taking_on = blocks("howto/alert-on-a-metric.md", "python")
    (tmp_path / "alerts.toml").write_text(rules)
    monkeypatch.setenv("ALERT_WEBHOOK", "http://127.0.0.1:9/nobody")
    now = time.time()
    recorder = HistogramRecorder(lowest=1e-7, highest=1e4)
    recorder.record(1e-4)
    quick = Sample(SeriesKey(DECISION.name, (("outcome", "ok"),)), recorder.value())
    with open_store(tmp_path / "metrics.db") as store:
        for ago in range(60, -1, -1):
            resident = Sample(SeriesKey(RESIDENT.name), 150e6 - 1e5 * ago)
            store.write([Collection(now - 10.0 * ago, 10.0, (DECISION, RESIDENT), (quick, resident))])
    names, waited = {}, []

    def meanwhile(seconds):
        waited.append(seconds)
        run([taking_on], **names)
        waited.extend((each.rule, each.state, each.acknowledged.who) for each in names["alerts"].alerts())
        raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        exec(compile(evaluating, "page", "exec"), names)
    assert waited == [10, ("memory will run out", Phase.FIRING, "Ann")]
