"""A metric history as somebody looks at it: numbers, a table, CSV, a picture."""

from __future__ import annotations

import csv
import io
import math
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compox_core.engine import history as module
from compox_core.engine.history import MetricHistory, csv_of
from compox_core.errors import MissingExtraError, NotFoundError
from compox_core.records import MetricPoint
from tests.training.school import DEADLINE, School, save

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def point(step: int, **values: float) -> MetricPoint:
    return MetricPoint(step=step, time=BEGIN + timedelta(seconds=step), values=values)


POINTS = [
    point(0, loss=1.0),
    point(1, loss=0.5, accuracy=0.25),
    point(10, accuracy=math.nan),
    point(11, loss=-math.inf),
]


def rows(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_each_metric_has_its_own_steps() -> None:
    """In the order in which the points were logged; a point that lacks it is left out."""
    history = MetricHistory(POINTS)
    assert (history.names, len(history), list(history)) == (["loss", "accuracy"], 4, POINTS)
    assert (history.steps("loss"), history.values("loss")) == ([0, 1, 11], [1.0, 0.5, -math.inf])
    assert (history.steps("accuracy"), history.values("accuracy")[0]) == ([1, 10], 0.25)
    assert (history[0], history[-1]) == (POINTS[0], POINTS[3])
    assert (history[2:].names, history[2:3].steps("accuracy"), len(history[:0])) == (["accuracy", "loss"], [10], 0)
    assert repr(history) == "MetricHistory(4 points of loss, accuracy)"


@pytest.mark.parametrize("points", [POINTS, []])
def test_an_unknown_metric_is_told_with_those_there_are(points: list[MetricPoint]) -> None:
    """Or that there are none yet."""
    with pytest.raises(NotFoundError, match="loss, accuracy" if points else "none yet") as caught:
        MetricHistory(points).values("lost")
    assert caught.value.code == "metric_not_found"


def test_csv_has_a_column_for_each_metric(tmp_path: Path) -> None:
    """What a point lacks is empty; the file is what the call returns, with the line ends of RFC 4180."""
    history = MetricHistory(POINTS)
    text = history.to_csv(tmp_path / "history.csv")
    assert rows(text) == [
        ["step", "time", "loss", "accuracy"],
        ["0", "2026-01-01T00:00:00+00:00", "1.0", ""],
        ["1", "2026-01-01T00:00:01+00:00", "0.5", "0.25"],
        ["10", "2026-01-01T00:00:10+00:00", "", "nan"],
        ["11", "2026-01-01T00:00:11+00:00", "-inf", ""],
    ]
    assert (tmp_path / "history.csv").read_bytes() == text.encode()
    assert text.count("\r\n") == text.count("\n") == 5
    assert MetricHistory().to_csv() == "step,time\r\n"


names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(str.isprintable)
values = st.floats(allow_nan=False)


@given(
    st.lists(st.tuples(st.integers(0, 2**63 - 1), st.dictionaries(names, values, min_size=1, max_size=3)), max_size=20)
)
def test_csv_loses_nothing(points: list[tuple[int, dict[str, float]]]) -> None:
    """Every number is read back as it was, whatever the metrics are called."""
    history = MetricHistory(MetricPoint(step=step, time=BEGIN, values=each) for step, each in points)
    head, *read = rows(history.to_csv())
    assert head == ["step", "time", *history.names]
    for row, (step, each) in zip(read, points, strict=True):
        assert int(row[0]) == step
        assert {name: float(cell) for name, cell in zip(head[2:], row[2:], strict=True) if cell} == each


def test_csv_in_pieces_is_the_same_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the size of a piece; points that come meanwhile are left out."""
    points = list(POINTS)

    def read(mark: int, most: int) -> tuple[list[MetricPoint], int]:
        late = points[mark : mark + most]
        return late, mark + len(late)

    whole = MetricHistory(POINTS).to_csv()
    for size in (1, 2, 3, 4096):
        monkeypatch.setattr(module, "PIECE", size)
        lines = csv_of(read)
        points.append(point(99, other=1.0))
        assert "".join(lines) == whole
        points.pop()
    points.clear()
    assert "".join(csv_of(read)) == "step,time\r\n"


def test_the_table_of_a_notebook_is_short_and_safe() -> None:
    """Its last rows, and no name is HTML."""
    history = MetricHistory(point(number, **{"<b>": 1 / 3}) for number in range(25))
    shown = history._repr_html_()
    assert "<b>" not in shown
    assert "&lt;b&gt;" in shown
    assert "The last 10 of 25 points" in shown
    assert shown.count("<tr>") == 11
    assert "0.333333" in shown
    assert MetricHistory()._repr_html_().count("<tr>") == 1


@pytest.mark.parametrize(
    "points",
    [POINTS, [], [point(0, nothing=math.nan)], [point(0, **{"$\\frac{": 1.0, "a_b^c": 2.0, "Größe ∞": 3.0})]],
    ids=["some", "none", "only nan", "names"],
)
def test_a_picture_shows_every_metric(points: list[MetricPoint], tmp_path: Path) -> None:
    """One under the other, by the names as they are; also where there is nothing to draw."""
    pytest.importorskip("matplotlib")
    figure = MetricHistory(points).plot(tmp_path / "curve.png")
    found = [axis.get_ylabel() for axis in figure.axes]
    assert found == (MetricHistory(points).names or [""])
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_a_picture_needs_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the extra that brings it."""
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match="pip install"):
        MetricHistory(POINTS).plot()


def test_a_history_grows_while_it_is_looked_at(threads: School) -> None:
    """From a number on one gets what came after it; after the end it is the same, from the store."""
    steps = [threading.Event() for _ in range(3)]
    done = [threading.Event() for _ in range(3)]

    def lesson(self: Any, data: list[str]) -> None:
        for number, step in enumerate(steps):
            assert step.wait(DEADLINE)
            self.log_metrics({"loss": float(number)})
            done[number].set()
        save(self)

    handle = threads.begin(lesson)
    mark = 0
    for number, step in enumerate(steps):
        assert len(handle.metrics()) == number
        step.set()
        assert done[number].wait(DEADLINE)
        points, mark = threads.engine.trainings.metrics_since(handle.id, mark)
        assert ([each.values for each in points], mark) == ([{"loss": float(number)}], number + 1)
    assert handle.wait(DEADLINE).status == "COMPLETED"
    assert handle.metrics().values("loss") == [0.0, 1.0, 2.0]
    assert threads.engine.trainings.metrics_since(handle.id, 1)[0] == list(handle.metrics()[1:])


def test_the_history_of_nothing_is_not_found(school: School) -> None:
    """A training that is not there has none; one without metrics has an empty one."""
    with pytest.raises(NotFoundError) as caught:
        school.engine.trainings.metrics("01890a5d-ac96-774b-bcce-b302099a8057")
    assert caught.value.code == "training_record_not_found"
    assert len(school.begin(save).metrics()) == 0
