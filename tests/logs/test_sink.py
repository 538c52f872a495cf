"""Nobody who logs waits for whoever reads."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Iterator, Sequence

import pytest

from compox_core.logs import sink as module
from compox_core.logs.sink import Console, Sink


class Shelf:
    """Takes lines, as soon as it is allowed to."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open = threading.Event()
        self.open.set()
        self.closed = False

    def write(self, lines: Sequence[str]) -> None:
        self.open.wait(60)
        self.lines += lines

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def shelf() -> Shelf:
    """Where the lines go."""
    return Shelf()


@pytest.fixture
def log(shelf: Shelf) -> Iterator[logging.Logger]:
    """A logger of nobody else, whose lines are their messages."""
    logger = logging.Logger("of a test")
    sink = Sink(shelf, logging.Formatter("%(message)s"), logging.INFO)
    sink.start()
    logger.addHandler(sink)
    yield logger
    shelf.open.set()
    sink.close()


def test_lines_come_in_order_and_whole(log: logging.Logger, shelf: Shelf) -> None:
    """From any thread; after a flush, all of them are there."""

    def say(name: int) -> None:
        for number in range(200):
            log.info("%d %d", name, number)

    threads = [threading.Thread(target=say, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.handlers[0].flush()
    assert len(shelf.lines) == 800
    for name in range(4):
        assert [line for line in shelf.lines if line.startswith(f"{name} ")] == [f"{name} {n}" for n in range(200)]


def test_a_reader_that_stands_still_holds_nobody_up(
    log: logging.Logger, shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is too much to keep is dropped, and how much is told when it goes on."""
    monkeypatch.setattr(module, "MOST_WAITING", 1000)
    shelf.open.clear()
    for number in range(5000):
        log.info("%04d%s", number, "x" * 16)
    shelf.open.set()
    log.handlers[0].flush()
    told = [line for line in shelf.lines if "dropped" in line]
    assert told and sum(int(line.split()[0]) for line in told) + len(shelf.lines) - len(told) == 5000


def test_closing_writes_what_is_left(log: logging.Logger, shelf: Shelf) -> None:
    """And closes the target; what comes later is nobody's."""
    log.info("last")
    log.handlers[0].close()
    log.info("too late")
    log.handlers[0].close()
    assert (shelf.lines, shelf.closed) == (["last"], True)


def test_a_target_that_raises_ends_nothing(log: logging.Logger, shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next lines are written."""

    def broken(lines: Sequence[str]) -> None:
        raise RuntimeError("no")

    with monkeypatch.context() as patch:
        patch.setattr(shelf, "write", broken)
        log.info("lost")
        log.handlers[0].flush()
    log.info("kept")
    log.handlers[0].flush()
    assert shelf.lines == ["kept"]


def test_an_object_that_has_no_text_is_no_error(log: logging.Logger, shelf: Shelf) -> None:
    """Of whoever logs it."""

    class Odd:
        def __repr__(self) -> str:
            raise ValueError("no text")

    log.info("%s", Odd())
    log.handlers[0].flush()
    assert shelf.lines == ["A line of of a test cannot be shown."]


def test_a_console_shows_what_its_encoding_can_and_may_go() -> None:
    """A closed one is no error."""
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding="ascii")
    console = Console(stream)
    console.write(["ü", "b"])
    assert raw.getvalue().splitlines() == [b"\\xfc", b"b"]
    stream.close()
    console.write(["c"])
