"""What workers write past Python, and what is said of how they ended."""

from __future__ import annotations

import ctypes
import sys

import pytest

from compox_core.jobs.processes.crash import crash_error, how_it_ended, start_error
from compox_core.jobs.processes.native import TAIL_BYTES, NativeOutput
from compox_core.jobs.processes.windows_job import BasicLimits, ExtendedLimits


class Seen:
    def __init__(self) -> None:
        self.lines: list[str] = []
        self.ends: list[int] = []
        self.output = NativeOutput("\x1emark ", self.lines.append, self.ends.append)


def test_lines_are_cut_wherever_the_pipe_cuts_them() -> None:
    """Byte by byte, with characters of several bytes, bytes that are no text, and empty lines."""
    seen = Seen()
    for byte in "eins\nzwölf\n\n  \n".encode() + b"\xff!\n":
        seen.output.feed(bytes([byte]))
    assert seen.lines == ["eins", "zwölf", "�!"]


def test_a_bar_that_is_drawn_over_is_one_line() -> None:
    """Carriage returns leave what the line ends with, also where lines end with both."""
    seen = Seen()
    seen.output.feed(b"\r1 %\r50 %\r100 %\nwindows\r\n")
    assert seen.lines == ["100 %", "windows"]


def test_the_end_of_a_job_is_seen_behind_a_line_without_end() -> None:
    """The marker is no line of the log, nor in the tail."""
    seen = Seen()
    seen.output.feed(b"a\nhalf a line\x1emark 7\nb\n")
    assert (seen.lines, seen.ends) == (["a", "half a line", "b"], [7])
    assert seen.output.tail() == "a\nhalf a line\nb"


def test_the_tail_is_bounded_and_belongs_to_one_job() -> None:
    """4 KiB of the last that came."""
    seen = Seen()
    for number in range(2000):
        seen.output.feed(f"{number}\n".encode())
    assert len(seen.output.tail()) <= TAIL_BYTES
    assert seen.output.tail().endswith("1998\n1999")
    seen.output.forget()
    seen.output.feed(b"other")
    assert seen.output.tail() == "other"


def test_a_line_that_never_ends_is_cut() -> None:
    """It must not fill the memory."""
    seen = Seen()
    for _ in range(100):
        seen.output.feed(b"x" * 1000)
    assert len(seen.lines) == 1
    assert len(seen.lines[0]) > 60_000


@pytest.mark.skipif(sys.platform == "win32", reason="there are no signals")
@pytest.mark.parametrize(
    ("status", "words"),
    [
        (-9, ["SIGKILL", "no memory left"]),
        (-11, ["SIGSEGV", "segmentation fault"]),
        (-15, ["SIGTERM"]),
        (-1000, ["signal 1000"]),
        (7, ["by itself", "exit status 7"]),
        (None, ["ended"]),
    ],
)
def test_an_end_is_described(status: int | None, words: list[str]) -> None:
    """The signal by its name, with what it most often means."""
    assert all(word in how_it_ended(status) for word in words)


def test_a_crash_says_what_there_was_on_stderr() -> None:
    """In the details, as UTF-8 can hold it; the message says where people find it."""
    error = crash_error(3, "last words \udc80", None)
    assert error.code == "worker_crashed"
    assert error.details["exit_status"] == 3
    assert error.details["signal"] is None
    assert error.details["stderr"] == "last words \\udc80"
    assert "in the task's log" in error.message
    assert "cannot be understood" in crash_error(None, "", "nonsense").message
    assert start_error("it ended.", "no module").details == {"stderr": "no module"}


@pytest.mark.skipif(ctypes.sizeof(ctypes.c_void_p) != 8, reason="sizes of a 64-bit Windows")
def test_the_structures_of_windows_have_their_sizes() -> None:
    """winnt.h: JOBOBJECT_BASIC_LIMIT_INFORMATION has 64 bytes, …_EXTENDED_… 144."""
    assert (ctypes.sizeof(BasicLimits), ctypes.sizeof(ExtendedLimits)) == (64, 144)
