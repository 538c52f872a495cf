"""What a command prints: the answer on stdout, as text or JSON, and everything else on stderr.

The only file that knows rich.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any, Protocol, TextIO

if TYPE_CHECKING:
    from rich.console import Console

PIPE_WIDTH = 160
"""Columns of a table that goes into a file or a pipe."""


class Report(Protocol):
    """Told how far something is: the progress in [0, 1], and what else to say of it at the moment."""

    def __call__(self, share: float, note: str = "") -> None: ...


class Screen:
    """The two streams of one command."""

    def __init__(self, *, as_json: bool = False, verbose: bool = False) -> None:
        self.as_json = as_json
        self.verbose = verbose
        # Tasks put their own streams in place of sys.stderr: what we say there would end in their logs.
        self._stderr = sys.stderr
        self._live: Console | None = None

    def answer(self, data: Any) -> None:
        """Print the whole answer as JSON."""
        print(json.dumps(data, indent=2, default=str), flush=True)

    def line(self, text: str) -> None:
        """Print a line of the answer, as it is."""
        print(text, flush=True)

    def note(self, text: str) -> None:
        """Tell the person at the terminal something that is not the answer."""
        self._notes.print(text, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Tell the person at the terminal of something to look at."""
        from rich.text import Text

        self._notes.print(Text.assemble(("Warning:", "yellow bold"), " ", text), soft_wrap=True)

    @property
    def _notes(self) -> Console:
        return self._live or _console(self._stderr)

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]], *, wrapping: int) -> None:
        """Print a table; the last `wrapping` columns share what room the others leave."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, collapse_padding=True)
        for number, column in enumerate(columns):
            table.add_column(column, overflow="fold", no_wrap=number < len(columns) - wrapping)
        for row in rows:
            table.add_row(*row)
        _console(sys.stdout).print(table)

    def facts(self, title: str, facts: Sequence[tuple[str, str]]) -> None:
        """Print a heading and named facts below each other."""
        from rich.table import Table

        console = _console(sys.stdout)
        console.print(title, style="bold")
        grid = Table.grid(padding=(0, 2))
        grid.add_column(style="dim", no_wrap=True)
        grid.add_column(overflow="fold")
        for name, value in facts:
            grid.add_row(f"  {name}", value)
        console.print(grid)

    @contextmanager
    def progress(self, title: str, *, bar: bool = True) -> Iterator[Report]:
        """Show how far something is: a bar in a terminal, else a line now and then.

        `bar=False` draws none, for code that may stop at a breakpoint and ask. Gives what is to be told of
        it. What is printed to stdout meanwhile, by the code of an algorithm say, goes to stderr, so that stdout holds
        the answer alone.
        """
        sys.stdout.flush()
        with _descriptor_to_stderr(), redirect_stdout(sys.stderr):
            if not (bar and self._stderr.isatty()):
                yield _lines(title, self._stderr)
                return
            self._live = _console(self._stderr)
            try:
                with _bar(title, self._live) as show:
                    yield show
            finally:
                self._live = None


def _console(stream: Any) -> Console:
    from rich.console import Console

    # Names and messages are shown as they are: nothing in them is markup. A pipe has no width of its own.
    width = None if stream.isatty() or "COLUMNS" in os.environ else PIPE_WIDTH
    return Console(file=stream, markup=False, highlight=False, emoji=False, width=width)


@contextmanager
def _bar(title: str, console: Console) -> Iterator[Report]:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}", markup=False),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(title, total=1.0, note="")
        yield lambda share, note="": progress.update(bar, completed=share, note=note)


def _lines(title: str, stream: TextIO) -> Report:
    """Say each further quarter once."""
    said = -1

    def show(share: float, note: str = "") -> None:
        nonlocal said
        if int(share * 4) > said:
            said = int(share * 4)
            print(f"{title}: {share:.0%}  {note}".rstrip(), file=stream, flush=True)

    return show


@contextmanager
def _descriptor_to_stderr() -> Iterator[None]:
    """Send what native code writes to descriptor 1 to stderr, where this process has both."""
    try:
        out, err = sys.stdout.fileno(), sys.stderr.fileno()
        kept = os.dup(out)
    except (OSError, ValueError):  # streams that a test or a notebook put in place have no descriptor
        yield
        return
    os.dup2(err, out)
    try:
        yield
    finally:
        os.dup2(kept, out)
        os.close(kept)
