"""Fresh processes: real ones, which answer, fail, hang, and are ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_pe_perf.measure import fresh
from pytest_pe_perf.model import Key, Row, Sample, Skipped

ANSWER = fresh.Answer(
    (Row(Key("t.py::test", "", "latency"), (Sample(1e-6, 10, 3, reference=2e-5),), "ab", 0.1, 0.05),),
    (Skipped("t.py::other", "no reason"),),
)
ANSWERING = """
import os
from pytest_pe_perf.measure import fresh
from tests_answer import ANSWER
request = fresh.requested(os.environ)
assert request.tests == ("t.py::test",)
fresh.answer(request, ANSWER)
"""


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def measure(code: str, folder: Path, timeout: float = 60) -> fresh.Answer:
    return fresh.measure_again(python(code), ["t.py::test"], folder=folder, timeout=timeout)


def test_an_answer_arrives_as_it_was_given(tmp_path):
    """What the process wrote is what the caller gets."""
    source = Path(__file__).read_text()
    start, end = source.index("ANSWER = "), source.index("ANSWERING")
    imports = "from pytest_pe_perf.measure import fresh\nfrom pytest_pe_perf.model import Key, Row, Sample, Skipped\n"
    (tmp_path / "tests_answer.py").write_text(imports + source[start:end])
    assert measure(ANSWERING, tmp_path) == ANSWER


def test_a_process_that_fails_says_what_it_said(tmp_path):
    """The last words of a process that gave no numbers are in the message, with its exit status."""
    with pytest.raises(fresh.FreshProcessError, match=r"exit status 3.*no such fixture"):
        measure("import sys; print('no such fixture'); sys.exit(3)", tmp_path)


def test_a_process_that_writes_nonsense_is_no_answer(tmp_path):
    """A file that is not an answer is not taken for one."""
    code = "import os, json; open(json.loads(os.environ['PE_PERF_FRESH'])['out'], 'w').write('[1')"
    with pytest.raises(fresh.FreshProcessError, match="gave no numbers"):
        measure(code, tmp_path)


def test_a_process_that_hangs_is_ended(tmp_path):
    """After its time a process and what it started are gone."""
    code = (
        "import subprocess, sys, time, os\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(child.pid))\n"
        "time.sleep(600)\n"
    )
    with pytest.raises(fresh.FreshProcessError, match="did not finish within 3 s"):
        measure(code, tmp_path, timeout=3)
    assert gone(int((tmp_path / "pid").read_text()))


def test_a_command_that_does_not_exist_is_said(tmp_path):
    """A process that cannot be started is an error with a message."""
    with pytest.raises(fresh.FreshProcessError, match="could not be started"):
        fresh.measure_again([str(tmp_path / "nothing")], ["t"], folder=tmp_path, timeout=5)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
def test_a_fresh_process_ends_with_a_parent_that_is_killed(tmp_path):
    """When the session is killed, its fresh process does not go on measuring."""
    pid = tmp_path / "pid"
    child = (
        "import os, time\n"
        "from pytest_pe_perf.measure import fresh\n"
        "fresh.end_with_parent()\n"
        f"open({str(pid) + '.tmp'!r}, 'w').write(str(os.getpid()))\n"
        f"os.replace({str(pid) + '.tmp'!r}, {str(pid)!r})\n"
        "time.sleep(600)\n"
    )
    parent = subprocess.Popen(
        python(
            "import sys\nfrom pathlib import Path\nfrom pytest_pe_perf.measure import fresh\n"
            f"fresh.measure_again([sys.executable, '-c', {child!r}], ['t'], folder=Path({str(tmp_path)!r}), timeout=600)"
        )
    )
    try:
        assert until(pid.exists)
        parent.send_signal(signal.SIGKILL)
        assert gone(int(pid.read_text()))
    finally:
        parent.kill()
        parent.wait()


def until(condition) -> bool:
    """Wait for what another process does, for half a minute at the most."""
    end = time.monotonic() + 30
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def gone(pid: int) -> bool:
    def ended() -> bool:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
        # Dead, and not yet collected by init.
        return Path(f"/proc/{pid}/stat").exists() and Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"

    return until(ended)
