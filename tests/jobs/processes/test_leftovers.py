"""What a job leaves behind in its process does not meet the next one."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from compox_core.records import TaskStatus
from tests.jobs.processes.shop import Shop, opened, told

posix = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")


@posix
@pytest.mark.parametrize("timer", ["ITIMER_REAL", "ITIMER_VIRTUAL", "ITIMER_PROF"])
def test_a_timer_ends_with_its_job(shop: Shop, timer: str) -> None:
    """It would kill the worker in the middle of the next."""
    before = shop.worker()
    shop.run(f"import signal; signal.setitimer(signal.{timer}, 0.2)")
    busy = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass"
    assert shop.run(busy).status is TaskStatus.COMPLETED
    assert shop.worker() == before


@posix
def test_an_alarm_that_was_kept_back_is_dropped(shop: Shop) -> None:
    """It waits behind a mask, which ends with the job."""
    before = shop.worker()
    shop.run(
        """
        import os, signal
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])
        signal.raise_signal(signal.SIGALRM)
        """
    )
    assert shop.worker() == before


@posix
def test_handlers_and_masks_end_with_their_job(folder: Path) -> None:
    """The next one is stopped by the signal that the one before ignored and kept back."""
    with opened(folder, flag=0.1) as shop:
        before = shop.worker()
        shop.run(
            """
            import signal
            for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGPIPE):
                signal.signal(number, lambda *args: None)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1, signal.SIGTERM])
            """
        )
        record = shop.run(
            """
            import os, signal
            print("tells", os.getpid())
            print("tells", int(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL))
            print("tells", int(signal.getsignal(signal.SIGINT) is signal.default_int_handler))
            print("tells", len(signal.pthread_sigmask(signal.SIG_BLOCK, ())))
            """
        )
        assert told(record) == [before, 1, 1, 0]
        stopped = shop.stopped("import time; print('begun', flush=True); time.sleep(1000)")
        assert (stopped.status, stopped.stopped_by) == (TaskStatus.STOPPED, "exception")


def test_the_working_directory_and_the_umask_are_those_of_the_worker(shop: Shop) -> None:
    """Whatever an earlier job has set, and removed."""
    look = (
        "import os; print('tells', '\"' + os.getcwd() + '\"'); mask = os.umask(0); os.umask(mask); print('tells', mask)"
    )
    before = told(shop.run(look))
    shop.run(
        """
        import os, tempfile
        folder = tempfile.mkdtemp()
        os.chdir(folder)
        os.umask(0o777)
        if os.name != "nt":
            os.rmdir(folder)
        """
    )
    assert told(shop.run(look)) == before
