"""Workers of a comparison: stopped by CPU time and not by the clock on the wall, and gone with their parent."""

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from forecast.experiment.work import TimeCapError, _capped


def leave_and_wait() -> None:
    """A worker that would wait for ever."""
    from forecast.experiment.work import leave_with_parent

    leave_with_parent()
    time.sleep(600)


def test_a_series_that_takes_too_much_work_is_stopped() -> None:
    with pytest.raises(TimeCapError, match=r"time cap of 0\.05 CPU-s"), _capped(0.05):
        while True:
            pass


def test_waiting_for_a_busy_machine_is_not_counted() -> None:
    with _capped(0.05):
        time.sleep(0.2)


def test_the_cap_ends_with_its_piece() -> None:
    with _capped(0.05):
        pass
    assert signal.getitimer(signal.ITIMER_PROF) == (0.0, 0.0)


@pytest.mark.slow
def test_a_worker_ends_when_its_parent_is_killed() -> None:
    code = (
        "import multiprocessing, os, time; from tests.experiment.test_work import leave_and_wait\n"
        "worker = multiprocessing.get_context('spawn').Process(target=leave_and_wait); worker.start()\n"
        "print(worker.pid, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, cwd=os.getcwd())
    assert parent.stdout is not None
    worker = psutil.Process(int(parent.stdout.readline()))
    time.sleep(3)
    assert worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE
    parent.kill()
    parent.communicate()
    deadline = time.monotonic() + 60
    while worker.is_running() and worker.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, "the worker lives on without its parent"
        time.sleep(0.1)
