"""The demo notices every difference between what it got here and what it got over HTTP."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from demo.acts import Inputs, differences, play, same
from demo.subjects import Balls, Series

ARRAY = np.arange(6, dtype=np.uint8).reshape(2, 3)


@pytest.mark.parametrize(
    "first, second",
    [
        (ARRAY, ARRAY.astype(np.uint16)),
        (ARRAY, ARRAY.reshape(3, 2)),
        (ARRAY, ARRAY + 1),
        (ARRAY, ARRAY.tolist()),
        ({"volume": ARRAY, "stats": "a"}, {"volume": ARRAY, "stats": "b"}),
        ({"volume": ARRAY}, {"volume": ARRAY, "mask": None}),
        ([ARRAY], [ARRAY, ARRAY]),
        ([ARRAY], [ARRAY + 1]),
        (1, 1.0),
    ],
)
def test_what_differs_is_not_the_same(first: Any, second: Any) -> None:
    """Values, dtypes, shapes, keys and lengths all count."""
    assert not same(first, second)
    assert same(first, first) and same(second, second)


def test_differences_name_what_is_missing_or_unequal() -> None:
    """An output that only one side has differs, as one that is unequal does."""
    first = {"a": ARRAY, "b": ARRAY, "c": ARRAY}
    assert differences(first, {"a": ARRAY.copy(), "b": ARRAY + 1, "d": ARRAY}) == ["b", "c", "d"]


class Recorder:
    """Returns its input and notes what was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run(self, algorithm: str, data: Any, *, progress: bool, **parameters: Any) -> Any:
        """Return the input."""
        self.asked.append((algorithm, parameters))
        return data


def test_acts_build_on_each_other() -> None:
    """Every input is run, and the denoised coins are what is segmented."""
    pictures = {name: ARRAY + number for number, name in enumerate(("cell", "coins"))}
    place = Recorder()
    played = play(place, Inputs(pictures, Series(ARRAY, [(0, 0)]), Balls(ARRAY, ARRAY)))
    assert played.seconds.keys() == played.outputs.keys()
    assert played.outputs["segment coins"] is not None
    assert np.array_equal(played.outputs["segment coins"], pictures["coins"])
    assert [parameters for _, parameters in place.asked[:2]] == [{"denoising_weight": 0.2}, {}]
