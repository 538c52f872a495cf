"""What a training has measured, as somebody looks at it: numbers, a table, a picture."""

from __future__ import annotations

import csv
import html
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, overload

from compox_core.errors import MissingExtraError, NotFoundError
from compox_core.records import MetricPoint

LAST_ROWS = 10
PIECE = 4096  # points


class MetricHistory(Sequence[MetricPoint]):
    """The points of a training's metric history, in the order in which they were logged.

    `names` are those of its metrics, in the order in which they came up.
    """

    def __init__(self, points: Iterable[MetricPoint] = ()) -> None:
        self._points = list(points)
        self.names = list(dict.fromkeys(name for point in self._points for name in point.values))

    def steps(self, name: str) -> list[int]:
        """Return the steps at which a metric was logged. Raises NotFoundError (`metric_not_found`)."""
        return [point.step for point in self._with(name)]

    def values(self, name: str) -> list[float]:
        """Return the values of a metric, one for each of its `steps`. Raises NotFoundError (`metric_not_found`)."""
        return [point.values[name] for point in self._with(name)]

    def _with(self, name: str) -> list[MetricPoint]:
        if name not in self.names:
            raise NotFoundError(
                f"No metric '{name}' was logged: there are {', '.join(self.names) or 'none yet'}.",
                code="metric_not_found",
                details={"name": name, "names": self.names},
            )
        return [point for point in self._points if name in point.values]

    def to_csv(self, path: str | os.PathLike[str] | None = None) -> str:
        """Return the history as CSV, and write it to a file where one is named.

        The columns are `step`, `time` (UTC, ISO 8601) and one a metric; a metric that a point has not is empty, and
        what is no finite number is `nan`, `inf` or `-inf`.
        """
        text = "".join(csv_lines(self._points, self.names))
        if path is not None:
            Path(path).write_text(text, encoding="utf-8", newline="")
        return text

    def plot(self, path: str | os.PathLike[str] | None = None) -> Any:
        """Return a matplotlib figure of every metric over its steps, and write it to a file where one is named.

        Raises MissingExtraError where matplotlib is not installed.
        """
        figure = _figure(self)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure

    @overload
    def __getitem__(self, index: int) -> MetricPoint: ...
    @overload
    def __getitem__(self, index: slice) -> MetricHistory: ...
    def __getitem__(self, index: int | slice) -> MetricPoint | MetricHistory:
        return MetricHistory(self._points[index]) if isinstance(index, slice) else self._points[index]

    def __len__(self) -> int:
        return len(self._points)

    def __repr__(self) -> str:
        return f"MetricHistory({len(self)} points of {', '.join(self.names) or 'nothing yet'})"

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(name)}</th>" for name in ("step", *self.names))
        rows = "".join(
            f"<tr><td>{point.step}</td>"
            + "".join(
                f"<td>{point.values[name]:.6g}</td>" if name in point.values else "<td></td>" for name in self.names
            )
            + "</tr>"
            for point in self._points[-LAST_ROWS:]
        )
        left_out = len(self) - LAST_ROWS
        note = f"<p>The last {LAST_ROWS} of {len(self)} points.</p>" if left_out > 0 else ""
        return f"{note}<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def csv_lines(points: Iterable[MetricPoint], names: Sequence[str]) -> Iterator[str]:
    """Yield a metric history as CSV (RFC 4180), line by line; see `MetricHistory.to_csv`."""
    yield _csv_line(["step", "time", *names])
    for point in points:
        values = [repr(point.values[name]) if name in point.values else "" for name in names]
        yield _csv_line([str(point.step), point.time.isoformat(), *values])


def csv_of(read: Callable[[int, int], tuple[list[MetricPoint], int]]) -> Iterator[str]:
    """Return a metric history as `csv_lines` of which a piece is in memory at a time.

    `read` returns the points from a number on, at most so many, and the number to go on with. It is asked twice for
    each point: the names of all metrics come first. What is logged after this call is left out.
    """
    names: dict[str, None] = {}
    end = 0
    for points, mark in _pieces(read):
        names.update(dict.fromkeys(name for point in points for name in point.values))
        end = mark
    return csv_lines((point for points, _ in _pieces(read, end) for point in points), list(names))


def _pieces(
    read: Callable[[int, int], tuple[list[MetricPoint], int]], end: int | None = None
) -> Iterator[tuple[list[MetricPoint], int]]:
    mark = 0
    while end is None or mark < end:
        points, mark = read(mark, PIECE if end is None else min(PIECE, end - mark))
        if not points:
            return
        yield points, mark


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()


def _figure(history: MetricHistory) -> Any:
    try:
        from matplotlib.figure import Figure  # no pyplot: nothing of it stays, and no window opens
    except ImportError as error:
        raise MissingExtraError(
            "Drawing needs matplotlib: pip install 'compox-core[demo]'.", details={"extra": "demo"}
        ) from error
    count = max(len(history.names), 1)
    figure = Figure(figsize=(6.4, 1.2 + 2.2 * count), layout="constrained")
    axes = figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]
    for axis, name in zip(axes, history.names, strict=False):
        marker = "o" if len(history.steps(name)) < 60 else ""
        axis.plot(history.steps(name), history.values(name), marker=marker, markersize=3)
        axis.set_ylabel(name, parse_math=False)  # a '$' in a name is no formula
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("step")
    return figure
