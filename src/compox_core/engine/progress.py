"""A progress bar for somebody who waits: in a terminal or a notebook, whichever it is."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from compox_core.records import TaskRecord

POLL_SECONDS = 0.05
SHOW_AFTER_SECONDS = 0.5


R = TypeVar("R", bound=TaskRecord)


def follow(wait: Callable[[float | None], R], timeout: float | None, report: Callable[[float], None] | None) -> R:
    """Wait for a job by `wait`, and tell its progress: to `report`, or by a bar that appears when it takes a while."""
    if report is not None:
        return _poll(wait, timeout, report)
    with bar() as advance:
        return _poll(wait, timeout, advance)


@contextmanager
def bar() -> Iterator[Callable[[float], None]]:
    """Show a bar in a terminal or a notebook when the block takes a while; give what is told the progress in [0, 1]."""
    with warnings.catch_warnings():
        # A notebook without widgets gets a bar of text, and needs no advice on it.
        warnings.simplefilter("ignore")
        from tqdm.auto import tqdm

    with tqdm(total=100, unit="%", delay=SHOW_AFTER_SECONDS, bar_format="{l_bar}{bar}| {elapsed}") as shown:

        def advance(progress: float) -> None:
            shown.update(round(progress * 100, 1) - shown.n)

        yield advance


def _poll(wait: Callable[[float | None], R], timeout: float | None, report: Callable[[float], None]) -> R:
    deadline = None if timeout is None else time.monotonic() + timeout
    told = -1.0
    while True:
        left = POLL_SECONDS if deadline is None else min(POLL_SECONDS, max(deadline - time.monotonic(), 0))
        record = wait(left)
        if record.progress != told:
            told = record.progress
            report(told)
        if record.status.final or (deadline is not None and time.monotonic() >= deadline):
            return record
