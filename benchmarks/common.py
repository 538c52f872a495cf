"""What the benchmarks share: server processes, memory watched from outside, a table at the end."""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import psutil
from rich.console import Console
from rich.table import Table

MIB = 1 << 20


@dataclass
class Row:
    """One figure: what was measured, what came out, what it is compared with, and whether the target holds."""

    what: str
    ours: str
    baseline: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None


@dataclass
class Report:
    """The figures of one benchmark, printed as a table."""

    title: str
    rows: list[Row] = field(default_factory=list)

    def add(self, what: str, ours: str, **rest: str | bool | None) -> None:
        """Add a figure."""
        self.rows.append(Row(what, ours, **rest))  # type: ignore[arg-type]

    def show(self) -> bool:
        """Print the table and return whether every target holds."""
        table = Table(title=self.title, title_justify="left")
        for name in ("measured", "ours", "baseline", "ratio", "target", ""):
            table.add_column(name, justify="left" if name == "measured" else "right")
        for row in self.rows:
            mark = "" if row.met is None else "[green]yes[/]" if row.met else "[red]no[/]"
            table.add_row(row.what, row.ours, row.baseline, row.ratio, row.target, mark)
        Console(width=max(Console().width, 110)).print(table)
        return all(row.met is not False for row in self.rows)


@contextmanager
def process(arguments: Sequence[str]) -> Iterator[tuple[psutil.Process, str]]:
    """Run a Python module as a server, and give it with the URL that it prints first."""
    child = subprocess.Popen([sys.executable, "-m", *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        found = re.search(r"http://\S+", child.stdout.readline())
        if found is None:
            raise RuntimeError(f"{arguments[0]} did not start")
        yield psutil.Process(child.pid), found[0]
    finally:
        child.terminate()
        child.wait(30)


class Memory:
    """Watches the resident memory of a process; `growth` is its peak less what it began with, in bytes."""

    def __init__(self, watched: psutil.Process) -> None:
        self._watched = watched
        self._ended = threading.Event()
        self.begin = self.peak = watched.memory_info().rss
        self._thread = threading.Thread(target=self._look, daemon=True)

    @property
    def growth(self) -> int:
        """How far it grew, in bytes."""
        return self.peak - self.begin

    def _look(self) -> None:
        while not self._ended.wait(0.01):
            self.peak = max(self.peak, self._watched.memory_info().rss)

    def __enter__(self) -> Memory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()


def seconds(action: Callable[[], object]) -> float:
    """Return how long `action` takes."""
    began = time.perf_counter()
    action()
    return time.perf_counter() - began


def spread(values: Sequence[float]) -> tuple[float, float]:
    """Return the median and the 95th percentile."""
    ordered = sorted(values)
    return statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))]
