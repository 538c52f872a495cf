"""What a running training may say of itself, and save."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from compox_core.errors import InvalidInputError
from compox_core.training.given import MOST_STATE, checked_metrics, checked_step
from tests.training.school import School, completed, save

HUGE = 10**400


def refused(code: str, act: Callable[[], object], match: str | None = None) -> InvalidInputError:
    with pytest.raises(InvalidInputError, match=match) as caught:
        act()
    assert caught.value.code == code
    return caught.value


# -- metrics ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "kept"),
    [
        (1, 1.0),
        (0.5, 0.5),
        (True, 1.0),
        (Fraction(1, 4), 0.25),
        (HUGE, math.inf),
        (-HUGE, -math.inf),
        pytest.param(10**5000, math.inf, id="5000 digits"),
        (math.inf, math.inf),
        (np.float32(0.5), 0.5),
        (np.longdouble(0.5), 0.5),
        (np.int64(3), 3.0),
        (np.bool_(True), 1.0),
        (np.array(2.0), 2.0),
        (np.array([[2.0]]), 2.0),
    ],
)
def test_a_metric_is_any_real_number(value: Any, kept: float) -> None:
    """Of numpy too, alone or in an array of one; what no float is near is infinite."""
    checked = checked_metrics({"loss": value})
    assert checked == {"loss": kept}
    assert type(checked["loss"]) is float


def test_nan_stays_nan() -> None:
    """As a float."""
    assert math.isnan(checked_metrics({"loss": np.float16("nan")})["loss"])


def test_a_metric_may_be_a_tensor() -> None:
    """With one value, also one that is being differentiated."""
    torch = pytest.importorskip("torch")
    loss = torch.tensor([2.0], requires_grad=True)
    assert checked_metrics({"a": loss, "b": loss.sum() * 2, "c": torch.tensor(3)}) == {"a": 2.0, "b": 4.0, "c": 3.0}
    assert checked_step(torch.tensor(3)) == 3
    refused("invalid_metrics", lambda: checked_metrics({"a": torch.zeros(2)}), "tensor")


class Silly:
    """Whatever an author may log."""

    @property
    def item(self) -> Any:
        raise RuntimeError("no")

    def __repr__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "value",
    [
        "0.5",
        None,
        1j,
        np.complex64(1),
        [1.0],
        np.zeros(2),
        np.zeros(0),
        Decimal(1),
        np.str_("1"),
        np.datetime64("2026-01-01"),
    ],
)
def test_anything_else_is_no_metric(value: Any) -> None:
    """And the error shows it as it was given."""
    error = refused("invalid_metrics", lambda: checked_metrics({"good": 1, "loss": value}), "'loss'")
    assert repr(value)[:20] in str(error)


@pytest.mark.parametrize(
    "values", [{}, None, [("a", 1)], 1.0, {"": 1}, {1: 1}, {"a\n": 1}, {"\ud800": 1}, {"x" * 201: 1}]
)
def test_metrics_are_a_dict_with_names(values: Any) -> None:
    """Of at least one, printable and not endless."""
    refused("invalid_metrics", lambda: checked_metrics(values))


@pytest.mark.parametrize(
    ("step", "kept"), [(None, None), (0, 0), (np.int64(7), 7), (np.uint8(7), 7), (2**63 - 1, 2**63 - 1)]
)
def test_a_step_is_a_whole_number(step: Any, kept: int | None) -> None:
    """Of numpy too, as Python's own."""
    assert (checked_step(step), type(checked_step(step))) == (kept, type(kept))


@pytest.mark.parametrize("step", [-1, 1.0, "1", True, np.bool_(True), np.float64(1), np.arange(2), 2**63, HUGE])
def test_anything_else_is_no_step(step: Any) -> None:
    """Nor is what no database could hold."""
    refused("invalid_metrics", lambda: checked_step(step))


def test_metrics_are_numbered_and_kept(school: School) -> None:
    """A step that is left out is one more than the last; what is refused leaves no point; NaN is said once."""

    def lesson(self: Any, data: list[str]) -> None:
        for values, step in [
            ({"a": 1}, None),
            ({"a": np.float32(2)}, 10),
            ({"b": math.nan}, None),
            ({"b": math.nan}, 3),
        ]:
            self.log_metrics(values, step)
        for bad in ({"a": "1"}, {}):
            refused("invalid_metrics", lambda bad=bad: self.log_metrics(bad))
        refused("invalid_metrics", lambda: self.log_metrics({"a": 1}, step=-1))
        self.log_metrics(metrics={"a": 4})
        save(self)

    record = completed(school.train(lesson))
    history = school.engine.trainings.metrics(record.training_id)
    assert (history.steps("a"), history.values("a"), history.steps("b")) == ([0, 10, 4], [1.0, 2.0, 4.0], [11, 3])
    assert all(map(math.isnan, history.values("b")))
    assert record.log.count("WARNING The metric 'b' is nan") == 1


# -- state -----------------------------------------------------------------------------------------------------------


def test_a_state_is_replaced_as_a_whole(school: School) -> None:
    """It is that of the record, as JSON holds it; what `get_state` gave is a copy."""

    def lesson(self: Any, data: list[str]) -> None:
        assert self.get_state() == {}
        self.set_state({"epoch": np.int64(1), "losses": np.array([1.0, 0.5]), "nested": {"a": (1, None)}})
        state = self.get_state()
        assert state == {"epoch": 1, "losses": [1.0, 0.5], "nested": {"a": [1, None]}}
        state["nested"]["a"] = "changed"
        assert self.get_state()["nested"] == {"a": [1, None]}
        assert self.task_handler.state == self.get_state()
        self.task_handler.state = {"epoch": 2}
        save(self)

    assert completed(school.train(lesson)).state == {"epoch": 2}


@pytest.mark.parametrize(
    "state",
    [
        None,
        [1],
        "text",
        {"a": math.nan},
        {"a": [np.inf]},
        {"a": {1: 2}},
        {"a": object()},
        {"a": b"bytes"},
        {"a": "\ud800"},
        {"a": 10**5000},
        {"a": "x" * MOST_STATE},
    ],
)
def test_what_json_cannot_hold_is_no_state(school: School, state: Any) -> None:
    """Nor is what is too large; the state stays what it was."""

    def lesson(self: Any, data: list[str]) -> None:
        self.set_state({"epoch": 1})
        refused("invalid_state", lambda: self.set_state(state), "The state of")
        save(self)

    assert completed(school.train(lesson)).state == {"epoch": 1}


def test_a_state_that_holds_itself_is_refused(school: School) -> None:
    """It would have no end."""
    circle: dict[str, Any] = {}
    circle["self"] = circle

    def lesson(self: Any, data: list[str]) -> None:
        refused("invalid_state", lambda: self.set_state(circle), "nested more than")
        save(self)

    completed(school.train(lesson))
