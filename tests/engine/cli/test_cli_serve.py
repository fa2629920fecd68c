"""`serve`: a dashboard and an engine at work, and nothing left behind when it ends."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing, contextmanager
from importlib.resources import files
from itertools import pairwise
from urllib.request import urlopen

import psutil
import pytest

from engine_opt.engine_panels import engine_panels
from engine_opt.errors import InputError
from engine_opt.monitoring.alerting_system import load_alerts
from engine_opt.monitoring.metric_store import open_store
from engine_opt.monitoring.samples import SeriesKey

from .conftest import environment

INTERVAL = 0.25
PATIENCE = 60.0
BARS = SeriesKey("engine_bars")
pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are told to end by signals")


class Serving:
    """`serve` in a folder."""

    def __init__(self, process):
        self.process = process
        self.url = process.stdout.readline().strip()
        self.address = self.url.partition("/#")[0]

    def ask(self, path):
        with urlopen(f"{self.address}{path}", timeout=PATIENCE) as answer:
            return json.load(answer)

    def until(self, wanted):
        """Return the first overview that is wanted, of those that are told as they come."""
        deadline, kind = time.monotonic() + PATIENCE, ""
        with urlopen(f"{self.address}/api/v1/events", timeout=PATIENCE) as events:
            for line in events:
                name, _, text = line.decode().rstrip().partition(": ")
                kind = text if name == "event" else kind
                if name == "data" and kind == "overview" and wanted(overview := json.loads(text)):
                    return overview
                assert time.monotonic() < deadline, line
        raise AssertionError("the server has ended")

    def load(self):
        """The process that decides."""
        (child,) = psutil.Process(self.process.pid).children()
        return child


@contextmanager
def serve(folder, *arguments):
    with subprocess.Popen(
        [sys.executable, "-m", "engine_opt", "serve", "--port", "0", "--interval", f"{INTERVAL}s", *arguments],
        cwd=folder,
        env=environment(TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield Serving(process)
        finally:
            process.kill()


def times(path):
    """When the intervals that are stored began and ended."""
    with closing(open_store(path, read_only=True)) as store:
        return [(point.end - point.seconds, point.end) for point in store.read(BARS, 0.0, 4e9, most=10_000)]


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """What was seen of a dashboard whose load was killed, and of what it left when it was told to end."""
    folder = tmp_path_factory.mktemp("serve")
    with serve(folder, "--store", "metrics.db") as serving:
        overview = serving.until(lambda overview: all(each["values"] for each in overview["panels"]))
        killed = serving.load()
        killed.kill()
        died = time.time()
        # Two more, so that an interval between them was written by the new load.
        serving.until(lambda overview: overview["end"] > died + 2 * INTERVAL)
        load = serving.load()
        serving.process.send_signal(signal.SIGTERM)
        _, told = serving.process.communicate(timeout=PATIENCE)
        gone = psutil.wait_procs([load], PATIENCE)[0]
    return {
        "folder": folder,
        "url": serving.url,
        "overview": overview,
        "loads": (killed.pid, load.pid),
        "died": died,
        "status": serving.process.returncode,
        "told": told,
        "gone": gone == [load],
    }


def test_one_line_is_printed_with_the_address_on_this_machine_and_the_token(ended):
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/#token=[\w-]{16,}", ended["url"])


def test_every_panel_has_numbers_of_the_load(ended):
    panels = ended["overview"]["panels"]
    assert [each["id"] for each in panels] == [each.id for each in engine_panels()]
    assert {each["missing"] for each in panels} == {None}


def test_a_load_that_is_killed_is_started_anew_and_what_it_wrote_stays(ended):
    before, after = ended["loads"]
    assert before != after
    assert ended["told"] == "the load has ended with status -9: starting it anew\n"
    kept = times(ended["folder"] / "metrics.db")
    assert max(end for _, end in kept if end <= ended["died"]) >= ended["overview"]["end"]
    assert kept[-1][0] > ended["died"]
    # Nothing is missing but between the two loads.
    holes = [end for (_, end), (begin, _) in pairwise(kept) if begin - end > INTERVAL / 10]
    assert len(holes) <= 1


def test_it_ends_when_told_to_and_leaves_its_store_and_nothing_else(ended):
    assert (ended["status"], ended["gone"]) == (0, True)
    names = {each.name for each in ended["folder"].iterdir()}
    assert {"metrics.db", "metrics.db.alerts"} <= names
    assert {each for each in names if not each.startswith("metrics.db")} == set()


def test_its_own_rules_watch_metrics_that_the_load_has(ended):
    rules, notifiers = load_alerts(files("engine_opt.cli") / "serve.toml")
    assert notifiers == ()
    with closing(open_store(ended["folder"] / "metrics.db", read_only=True)) as store:
        assert {rule.metric for rule in rules} <= {each.name for each in store.metrics()}


def test_a_store_is_gone_on_with_and_the_load_does_not_outlive_a_killed_server(ended):
    store = ended["folder"] / "metrics.db"
    before = times(store)[-1][1]
    with serve(ended["folder"], "--store", "metrics.db") as serving:
        serving.until(lambda overview: overview["end"] > before)
        query = f"/api/v1/query?metric=engine_bars&start={before - 1:.3f}&points=1000"
        (series,) = serving.ask(query)["series"]
        assert series["time"][0] <= before < series["time"][-1]
        load = serving.load()
        serving.process.kill()
        assert psutil.wait_procs([load], PATIENCE)[0] == [load]


def test_an_interruption_ends_it_and_nothing_is_left(tmp_path):
    with serve(tmp_path) as serving:
        assert serving.load().is_running()
        assert [each.name for each in tmp_path.iterdir()] != []
        serving.process.send_signal(signal.SIGINT)
        _, told = serving.process.communicate(timeout=PATIENCE)
    assert (serving.process.returncode, told) == (0, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("--no-load",), "name it with --store"),
        (("--interval", "soon"), "it is not a duration"),
        (("--interval", "1ms"), "it must lie between 0.1 and 86400 (seconds)"),
        (("--rate", "-1"), "it must be greater than 0"),
        (("--rate", "nan"), "it is not finite"),
        (("--for", "1"), "it is not a duration"),
        (("--port", "70000"), "is not in the range"),
        (("--rules", "none.toml"), "none.toml cannot be read"),
        (("--no-load", "--store", "none.db"), "there is no store yet"),
        (("--store", "folder"), "folder"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(call, tmp_path, monkeypatch, arguments, why):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    done = call("serve", "--port", "0", *arguments)
    assert (done.status, done.out) == (2, "")
    assert why in done.err
    assert done.err.startswith("error: ")
    assert done.err.count("\n") == 1


def test_a_port_that_is_taken_is_told(call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    open_store("metrics.db").close()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = call("serve", "--no-load", "--store", "metrics.db", "--port", port)
    assert done.status == 2
    assert done.err == f"error: port {port} cannot be had (Address already in use): name another with --port\n"


def test_panels_are_of_the_time_that_is_asked_for_and_memory_has_its_line():
    panels = {each.id: each for each in engine_panels(seconds=7.0, memory_target=5e7)}
    assert {each.seconds for each in panels.values()} == {7.0}
    assert panels["resident"].target == (5e7, "target 50 MB")
    with pytest.raises(InputError):
        engine_panels(seconds=0.0)
