"""Time and threads under control: a clock that is moved by hand, and threads that take turns at every step."""

import sys
import threading
import time
from random import Random

import pytest


class HandClock:
    """Seconds that pass when somebody says so."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += seconds


@pytest.fixture
def clock():
    return HandClock()


@pytest.fixture
def together():
    """Return a function that runs functions in threads of their own and returns what they raised.

    Inside the module of `component` another thread may go on after any bytecode, and one in fifty times does: left to
    itself, the interpreter switches so seldom that a race would hardly ever be seen.
    """

    def run(component, *functions):
        file = sys.modules[component.__module__].__file__
        barrier, errors = threading.Barrier(len(functions)), []

        def work(number, function):
            dice = Random(number)

            def trace(frame, event, _):
                if frame.f_code.co_filename != file:
                    return None
                frame.f_trace_opcodes = True
                if event == "opcode" and dice.random() < 0.02:
                    time.sleep(0)  # gives the turn away
                return trace

            barrier.wait()
            sys.settrace(trace)
            try:
                function()
            except BaseException as error:  # noqa: BLE001 - it is what the test asks for
                errors.append(error)
            finally:
                sys.settrace(None)

        threads = [threading.Thread(target=work, args=each) for each in enumerate(functions)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return errors

    return run
