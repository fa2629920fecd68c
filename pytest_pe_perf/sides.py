"""The pytest hooks of the processes that measure for another one: a fresh process, and one side of a pair."""

from __future__ import annotations

import atexit
import os
import platform
from collections.abc import Iterable
from pathlib import Path

import pytest

from pytest_pe_perf.config import Settings
from pytest_pe_perf.fixtures import hidden
from pytest_pe_perf.judge.gate import module_of
from pytest_pe_perf.measure import fresh
from pytest_pe_perf.measure.paired import canary, imports
from pytest_pe_perf.measure.paired.wire import Collected, Ended, Finished, Go, Talk, Test
from pytest_pe_perf.measure.paired.worker import PairedRecorder
from pytest_pe_perf.measuring import Measuring, measures, why_nothing
from pytest_pe_perf.model import Key
from pytest_pe_perf.recorder import Recorder
from pytest_pe_perf.source import source_hash

__tracebackhide__ = hidden  # see measure.call


class Fresh(Measuring):
    """Measures the tests of a request alone and hands the rows over in a file."""

    def __init__(self, settings: Settings, request: fresh.Request, rootdir: Path) -> None:
        # Beside the answer: who asked removes that folder, also where a test ends this process.
        room = os.path.dirname(request.out)  # noqa: PTH120
        self.recorder = (
            _profiling(request.profile, rootdir, room)
            if request.profile
            else Recorder(memory_only=request.memory_only, times_only=request.times_only, room=room)
        )
        super().__init__(settings, self.recorder)
        self.request = request

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Keep what was asked for."""
        items[:] = [item for item in items if item.nodeid in self.request.tests]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """Hand over what was weighed so far, and which test may break the process."""
        if self.request.step_by_step:
            self._hand_over(nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self) -> None:
        """Hand over what was weighed so far: this test has not broken the process."""
        if self.request.step_by_step:
            self._hand_over()

    def after_call(self, item: pytest.Item, seconds: float) -> None:  # noqa: ARG002
        """Note why a test gave no number."""
        self.done.add(item.nodeid)
        if not self.recorder.rows_of(item.nodeid):
            # Most tests have nothing to weigh, and who looks measures nothing.
            self.recorder.skip(item.nodeid, "" if self.request.step_by_step else why_nothing(item))

    def pytest_sessionfinish(self) -> None:
        """Hand over what was measured."""
        for test in self.request.tests:
            if not self.recorder.rows_of(test) and module_of(test) in self.broken:
                self.recorder.skip(test, self.broken[module_of(test)])
        self._hand_over()

    def _hand_over(self, running: str = "") -> None:
        rows, skipped = tuple(self.recorder.rows.values()), tuple(self.recorder.skipped.values())
        fresh.answer(self.request, fresh.Answer(rows, skipped, running, seen=self.recorder.seen_so_far))


def _profiling(wanted: Iterable[Key], rootdir: Path, room: str) -> Recorder:
    from pytest_pe_perf.profile.bench import ProfilingRecorder
    from pytest_pe_perf.profile.places import Places

    return ProfilingRecorder(room=room, wanted=frozenset(wanted), places=Places(rootdir))


class Side(Measuring):
    """One side of a pair: tells what there is, then runs what it is told to and measures it in lock step."""

    gives_way = True

    def __init__(self, settings: Settings, talk: Talk) -> None:
        self.recorder = PairedRecorder(talk=talk)
        super().__init__(settings, self.recorder)
        self.talk = talk

    @pytest.hookimpl(trylast=True)
    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Tell what was collected and selected, and keep what the other side has too."""
        tests = tuple(
            Test(item.nodeid, source_hash(getattr(item, "function", item.runtest)))
            for item in session.items
            if measures(item)
        )
        self.talk.send(Collected(platform.python_version(), tests, self.broken, imports.loaded_files()))
        go = self.talk.expect(Go)
        session.items[:] = [item for item in session.items if item.nodeid in go.tests]
        canary.sing(self.recorder, self.settings, go.planted)

    def after_call(self, item: pytest.Item, seconds: float) -> None:  # noqa: ARG002
        """Note why a test gave no number."""
        self.done.add(item.nodeid)
        if not self.recorder.measured:
            self.recorder.skip(item.nodeid, why_nothing(item))

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        """Tell that a test is over, and why it gave no number if it gave none."""
        skipped = self.recorder.skipped.get(nodeid)
        self.talk.send(Finished(nodeid, skipped.why if skipped else ""))

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        """Tell that there is no more, and which files were imported meanwhile; then end.

        All fixtures are torn down by now. What would follow is a report that nobody reads, for a second or more.
        """
        self.talk.send(Ended(imports.loaded_files()))
        atexit._run_exitfuncs()  # noqa: SLF001 - os._exit does not call them
        os._exit(0)
