"""The log of a task is bounded in the record and complete in the store."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from compox_core.tasks import TaskLog

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING) ")


def test_a_line_has_a_utc_stamp_and_its_level() -> None:
    """One message is one line, whatever it says."""
    log = TaskLog()
    log.add("INFO", "Größe: 3 µm")
    assert STAMP.match(log.text())
    assert log.text().endswith(" Größe: 3 µm\n")


@given(st.lists(st.integers(0, 300), max_size=60), st.integers(100, 2000))
def test_head_chunks_and_tail_are_the_whole_log_in_order(sizes: list[int], limit: int) -> None:
    """Nothing is lost or doubled between what a record shows and what the store keeps."""
    log = TaskLog(limit)
    chunks = []
    for number, size in enumerate(sizes):
        log.add("INFO", f"{number}:" + "x" * size)
        if (chunk := log.take_chunk(rest=number % 3 == 0)) is not None:
            chunks.append(chunk)
    chunks.append(log.take_chunk(rest=True) or "")
    head, middle, tail = log.parts()
    assert middle == ""
    lines = (head + "".join(chunks) + tail).splitlines()
    assert [STAMP.sub("", line) for line in lines] == [f"{n}:" + "x" * size for n, size in enumerate(sizes)]


def test_a_long_log_shows_head_and_tail_and_says_what_is_left_out() -> None:
    """The record's text stays within its limit, give or take the line about the gap."""
    log = TaskLog(10_000)
    for number in range(5_000):
        log.add("INFO", f"line {number}")
    text = log.text()
    assert len(text) < 10_200
    assert "line 0\n" in text
    assert "line 4999\n" in text
    assert re.search(r"… \d+ lines are in the task's full log …", text)


def test_a_lone_surrogate_is_escaped() -> None:
    """A message that UTF-8 cannot hold, such as an odd file name, does not keep the record from being stored."""
    log = TaskLog()
    log.add("INFO", "name \udc80")
    assert log.text().endswith(" INFO name \\udc80\n")
    log.text().encode("utf-8")
