"""What a task prints is in its log, and still where it was before."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from compox_core.runners import current_handler
from compox_core.tasks.capture import captured


class Desk:
    def __init__(self) -> None:
        self.lines: list[str] = []

    def write_log(self, level: str, message: str) -> None:
        self.lines.append(f"{level} {message}")


@contextmanager
def task() -> Iterator[Desk]:
    desk = Desk()
    token = current_handler.set(desk)  # type: ignore[arg-type]
    try:
        with captured(desk):
            yield desk
    finally:
        current_handler.reset(token)


def test_prints_are_logged_and_passed_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines of stdout are INFO, those of stderr WARNING; a last line without an end counts too."""
    before = sys.stdout, sys.stderr
    with task() as desk:
        print("one")
        print("two", "parts", sep=" and ")
        print("half", end="")
        print(" a line")
        print("   ")
        print("on stderr", file=sys.stderr)
        print("no end", end="")
    assert desk.lines[:4] == ["INFO one", "INFO two and parts", "INFO half a line", "WARNING on stderr"]
    assert desk.lines[-1] == "INFO no end"
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr().out.startswith("one\ntwo and parts\nhalf a line\n")


def test_a_bar_that_is_drawn_over_is_one_line() -> None:
    """Carriage returns leave what the line ends with."""
    with task() as desk:
        for percent in range(0, 101, 10):
            print(f"\r{percent} %", end="", file=sys.stderr)
        print(file=sys.stderr)
    assert desk.lines == ["WARNING 100 %"]


def test_tasks_at_a_time_each_get_their_own() -> None:
    """Two tasks in two threads and the main thread between them do not mix, and the streams are put back at the end."""
    before = sys.stdout
    barrier = threading.Barrier(2)
    desks: dict[str, Any] = {}

    def work(name: str) -> None:
        with task() as desk:
            desks[name] = desk
            for number in range(20):
                barrier.wait(10)
                print(f"{name} {number}")

    threads = [threading.Thread(target=work, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    print("main")
    for thread in threads:
        thread.join()
    for name in "ab":
        assert desks[name].lines == [f"INFO {name} {number}" for number in range(20)]
    assert sys.stdout is before


@pytest.mark.parametrize("left", ["none", "closed"])
def test_a_dead_stream_that_a_task_leaves_behind_is_replaced(left: str, tmp_path: Path) -> None:
    """A task that puts its own file into `sys.stdout` and closes it silences nobody after it."""
    before = sys.stdout
    with task():
        with (tmp_path / "out.txt").open("w") as file:
            sys.stdout = file
        if left == "none":
            sys.stdout = None  # type: ignore[assignment]
    assert sys.stdout is before


def test_a_program_without_a_console_has_none_after_a_task_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where `sys.stdout` is None, prints are logged, kept nowhere else, and None is put back."""
    monkeypatch.setattr(sys, "stdout", None)
    with task() as desk:
        print("one")
    assert desk.lines == ["INFO one"]
    assert sys.stdout is None
