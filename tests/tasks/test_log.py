"""The log of a task is bounded in the record and complete in the store."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
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


GAP = re.compile(r"… (\d+) characters are in the task's full log …\n")
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 300)),
        st.tuples(st.just("take"), st.booleans()),
        st.tuples(st.just("follow"), st.integers(0, 2)),
        st.tuples(st.just("ask"), st.integers(0, 20_000)),
    ),
    max_size=60,
)


def check_since(log: TaskLog, whole: str, mark: int) -> int:
    """Ask for what came after a mark, compare it with the whole log, and return the new mark."""
    now, text = log.since(mark)
    assert now == len(whole)
    expected, gap = whole[mark:], GAP.search(text)
    if gap is None:
        assert text == expected
    else:
        before, after, missed = text[: gap.start()], text[gap.end() :], int(gap[1])
        assert missed > 0
        assert expected.startswith(before) and expected.endswith(after)
        assert len(before) + missed + len(after) == len(expected)
    return now


@given(STEPS, st.integers(100, 2000), st.text("ä€😀x", max_size=300))
def test_what_a_follower_is_told_is_the_log(steps: list[tuple[str, int]], limit: int, resumed: str) -> None:
    """From any mark: what comes, and what is said to be left out, are together all that was added since."""
    log, whole, marks = TaskLog(limit), "", [0, 0, 0]
    if resumed:
        log.resume(resumed)
        whole = resumed
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("compox_core.tasks.log.CHUNK_BYTES", 200)
        for step, value in steps:
            if step == "add":
                log.add("INFO", "µ" * value)
                whole += log.since(len(whole))[1]
                assert whole.endswith("µ" * value + "\n")
            elif step == "take":
                log.take_chunk(rest=bool(value))
            elif step == "follow":
                marks[value] = check_since(log, whole, marks[value])
            else:
                check_since(log, whole, min(value, len(whole)))
        for mark in (0, *marks, len(whole)):
            check_since(log, whole, mark)


def test_a_mark_of_the_future_tells_nothing() -> None:
    """Whoever asks with a number that was never told gets one that was."""
    log = TaskLog()
    log.add("INFO", "one")
    now = log.since(0)[0]
    assert log.since(now + 100) == (now, "")


def test_many_threads_and_a_follower() -> None:
    """Whoever follows while others write is told each line once, and in the order of the log."""
    log, done = TaskLog(1 << 20), threading.Event()

    def write(number: int) -> None:
        for line in range(300):
            log.add("INFO", f"{number}:{line}")

    def follow() -> str:
        mark, told = 0, ""
        while not done.is_set():
            mark, text = log.since(mark)
            told += text
        return told + log.since(mark)[1]

    with ThreadPoolExecutor(5) as pool:
        follower = pool.submit(follow)
        for writer in [pool.submit(write, number) for number in range(4)]:
            writer.result()
        done.set()
    assert follower.result() == log.text()
    assert len(log.text().splitlines()) == 1200
