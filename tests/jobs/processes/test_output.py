"""What an algorithm says, by whatever way, is in the log of its task: once, in order, while it runs."""

from __future__ import annotations

import logging
import os
import sys

import pytest

from compox_core.records import TaskStatus
from tests.jobs.processes.shop import Shop, messages, until

posix = pytest.mark.skipif(sys.platform == "win32", reason="as POSIX has it")


def said(shop: Shop, code: str) -> list[str]:
    """Run code and return the messages of its log that have the word `say`."""
    record = shop.run(code)
    assert record.status is TaskStatus.COMPLETED, record.log
    return [line for line in messages(record) if "say" in line]


def test_print_is_logged_once(shop: Shop) -> None:
    """With the level of its stream, in order with messages; a line without end counts too."""
    assert said(
        shop,
        """
        import sys, warnings
        print("say 1")
        self.log_message("say 2", "WARNING")
        print("say 3", file=sys.stderr)
        print("say", end=" "); print("4")
        sys.stdout.write("say 5\\nsay 6\\n")
        print("say 7", end="")
        """,
    ) == ["INFO say 1", "WARNING say 2", "WARNING say 3", "INFO say 4", "INFO say 5", "INFO say 6", "INFO say 7"]


def test_warnings_and_logging_are_logged_once(shop: Shop) -> None:
    """As Python shows them on stderr."""
    lines = said(
        shop,
        """
        import logging, warnings
        warnings.warn("say 1")
        logging.getLogger("somebody").warning("say 2")
        """,
    )
    assert len(lines) == 2 or len(lines) == 3  # Python shows the line of code too where it finds it
    assert lines[0].startswith("WARNING ")
    assert lines[-1] == "WARNING say 2"


@posix
def test_what_is_written_past_python_is_logged_once(shop: Shop) -> None:
    """Descriptors 1 and 2, C's buffered stdout, and children; all of it before the end is told."""
    lines = said(
        shop,
        """
        import ctypes, os, subprocess, sys
        os.write(1, b"say 1\\n")
        os.write(2, b"say 2\\n")
        ctypes.CDLL(None).puts(b"say 3")
        subprocess.run([sys.executable, "-c", "print('say 4')"])
        ctypes.CDLL(None).printf(b"say 5")
        """,
    )
    assert lines == [f"INFO say {number}" for number in range(1, 6)]


def test_what_goes_to_the_streams_behind_is_logged_once(shop: Shop) -> None:
    """`sys.__stdout__` and `sys.stdout.buffer` lead to the descriptor."""
    lines = said(
        shop,
        """
        import sys
        print("say 1", file=sys.__stdout__)
        sys.stdout.buffer.write(b"say 2\\n"); sys.stdout.buffer.flush()
        sys.stdout.buffer.write(b"say 3")
        """,
    )
    assert lines == ["INFO say 1", "INFO say 2", "INFO say 3"]


def test_threads_of_a_job_belong_to_it(shop: Shop) -> None:
    """Also those that know nothing of its context."""
    lines = said(
        shop,
        """
        import threading
        thread = threading.Thread(target=lambda: print("say it", end=""))
        thread.start()
        thread.join()
        """,
    )
    assert lines == ["INFO say it"]


@posix
def test_a_fork_is_heard(shop: Shop) -> None:
    """It has no thread that tells the parent, but its prints and messages are output of the job."""
    lines = said(
        shop,
        """
        import os, traceback
        child = os.fork()
        if child == 0:
            try:
                print("say 1")
                self.log_message("say 2")
                self.set_progress(0.5)
            except BaseException:
                traceback.print_exc()
            os._exit(0)
        os.waitpid(child, 0)
        """,
    )
    assert lines == ["INFO say 1", "INFO say 2"]


def test_output_is_read_while_the_job_runs(shop: Shop) -> None:
    """By whatever way it came."""
    task_id = shop.submit("import os\nprint('say 1')\nos.write(2, b'say 2\\n')\nwhile True: self.set_progress(0.5)")
    shop.logged(task_id, "say 1")
    shop.logged(task_id, "say 2")
    shop.engine.executions.stop(task_id)
    shop.ended(task_id)


def test_reading_stdin_finds_its_end(shop: Shop) -> None:
    """It is not the pipe of commands."""
    assert said(shop, "import sys; print('say', repr(sys.stdin.read()))") == ["INFO say ''"]


def test_two_jobs_do_not_mix(shop: Shop) -> None:
    """What one left in the streams, or put in their place, is not the other's."""
    first = shop.run("import sys\nprint('say 1', end='')\nsys.stdout = None\nsys.stderr = open('/dev/null', 'w')")
    second = shop.run("print('say 2')")
    assert [line for line in messages(first) if "say" in line] == ["INFO say 1"]
    assert [line for line in messages(second) if "say" in line] == ["INFO say 2"]


def test_a_thread_that_outlives_its_job_says_nothing_in_the_next(shop: Shop) -> None:
    """Its messages belong to a job that has ended."""
    first = shop.run(
        """
        import threading, time
        def speak():
            while True:
                self.log_message("of the first")
                time.sleep(0.01)
        threading.Thread(target=speak, daemon=True).start()
        """
    )
    assert first.status is TaskStatus.COMPLETED
    second = shop.run("import time\nfor _ in range(20): time.sleep(0.01)")
    assert "of the first" not in second.log


def test_much_output_is_whole(shop: Shop) -> None:
    """Fifty thousand lines by both ways, each in its order, none lost, none twice."""
    task_id = shop.submit(
        """
        import os
        for number in range(25_000):
            print("p", number)
        with open(os.dup(2), "w") as native:
            for number in range(25_000):
                native.write(f"n {number}\\n")
        """
    )
    assert shop.ended(task_id).status is TaskStatus.COMPLETED
    lines = [
        line.split(" INFO ", 1)[1] for line in shop.engine.executions.log(task_id).splitlines() if " INFO " in line
    ]
    for way in ("p", "n"):
        numbers = [int(line.split()[1]) for line in lines if line.startswith(f"{way} ")]
        assert numbers == list(range(25_000))


def test_strange_text_survives(shop: Shop) -> None:
    """Surrogates as escapes, as everywhere; bytes that are no text as question marks."""
    lines = said(shop, "import os\nprint('say \\udc80 é €')\nos.write(1, b'say \\xff\\n')")
    assert sorted(lines) == ["INFO say \\udc80 é €", "INFO say �"]  # they take different ways


def test_progress_comes_in_order_and_ends_at_the_last(shop: Shop) -> None:
    """A hundred thousand calls are a few messages."""
    task_id = shop.submit(
        """
        import time
        for number in range(100_000):
            self.set_progress(number / 200_000)
        self.set_progress(0.75)
        print("begun")
        while True:
            time.sleep(0.01)
            self.set_progress(0.75)
        """
    )
    shop.logged(task_id, "begun")
    until(lambda: shop.engine.executions.get(task_id).progress == 0.75, "the last progress")
    shop.engine.executions.stop(task_id)
    assert shop.ended(task_id).progress == 0.75


def test_what_the_product_logs_is_logged_by_the_parent(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    """As it would be if the job ran here."""
    with caplog.at_level(logging.INFO):
        shop.run("self.log_message('hear', 'WARNING')")
        until(lambda: any("hear" in record.getMessage() for record in caplog.records), "the message")
    [record] = [record for record in caplog.records if "hear" in record.getMessage()]
    assert (record.name, record.levelname) == ("compox.task", "WARNING")
    assert record.process == os.getpid()


def test_spawned_children_do_not_begin_as_workers(shop: Shop) -> None:
    """multiprocessing imports the main module again; the worker's is none of an algorithm's business."""
    lines = said(
        shop,
        """
        import multiprocessing
        context = multiprocessing.get_context("spawn")
        with context.Pool(1) as pool:
            print("say", pool.map(abs, [-1, -2]))
        """,
    )
    assert lines == ["INFO say [1, 2]"]
