"""What an algorithm gives to its training: metrics, steps, states, sizes of batches."""

from __future__ import annotations

import json
import math
import numbers
import operator
from collections.abc import Mapping
from typing import Any

from compox_core.errors import InvalidInputError
from compox_core.records.plain import plain, said, written

MOST_NAME = 200
MOST_STEP = 2**63 - 1
MOST_STATE = 1024 * 1024
"""So large may the state be as JSON: everybody who looks at the record gets it."""


def checked_metrics(values: Mapping[str, Any]) -> dict[str, float]:
    """Return metrics as floats by name. Raises InvalidInputError (`invalid_metrics`)."""
    if not isinstance(values, Mapping) or not values:
        raise InvalidInputError(
            f"Metrics are a dict of numbers by name, {{'loss': 0.1}} say, not {written(values)}.",
            code="invalid_metrics",
        )
    checked = {}
    for name, value in values.items():
        if not isinstance(name, str) or not name.isprintable() or not 0 < len(name) <= MOST_NAME:
            raise InvalidInputError(
                f"{written(name)} is no name of a metric: use 1 to {MOST_NAME} printable characters.",
                code="invalid_metrics",
            )
        checked[str.__str__(name)] = _number(name, value)
    return checked


def _number(name: str, value: Any) -> float:
    given = value
    if not isinstance(value, numbers.Real) and callable(getattr(value, "item", None)):
        try:  # an array of numpy, or a tensor, with one value
            value = value.item()
        except Exception:  # whatever it raises where it has several
            value = None
    if not isinstance(value, numbers.Real):
        raise InvalidInputError(
            f"The metric '{name}' is {written(given)}: give one real number.", code="invalid_metrics"
        )
    try:
        return float(value)
    except OverflowError:  # a whole number, or a fraction, that no float is near
        return -math.inf if value < 0 else math.inf


def checked_step(step: Any) -> int | None:
    """Return what metrics are of, None for the next. Raises InvalidInputError (`invalid_metrics`)."""
    number = None if step is None else _whole(step)
    if step is not None and (number is None or not 0 <= number <= MOST_STEP):
        raise InvalidInputError(
            f"The step of metrics is a whole number from 0 on, not {written(step)}.", code="invalid_metrics"
        )
    return number


def checked_batch(batch_size: Any) -> int:
    """Return how many files to hold in memory at a time. Raises InvalidInputError (`invalid_batch_size`)."""
    number = _whole(batch_size)
    if number is None or number < 1:
        raise InvalidInputError(
            f"batch_size is how many files are in memory at a time, a whole number from 1 on, not "
            f"{written(batch_size)}.",
            code="invalid_batch_size",
        )
    return number


def _whole(value: Any) -> int | None:
    """Return a whole number, of numpy and PyTorch too; None where it is none."""
    if isinstance(value, bool) or "bool" in str(getattr(value, "dtype", "")):
        return None
    try:
        return operator.index(value)
    except Exception:  # a TypeError, or what a tensor raises that has several
        return None


def checked_state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return a state as JSON holds it. Raises InvalidInputError (`invalid_state`)."""
    if not isinstance(state, Mapping):
        raise InvalidInputError(f"The state of a training is a dict, not {type(state).__name__}.", code="invalid_state")
    try:
        kept: dict[str, Any] = plain(dict(state))
        size = len(json.dumps(kept))
    except ValueError as error:  # also for a whole number of thousands of digits
        raise InvalidInputError(f"The state of the training {said(error)}.", code="invalid_state") from error
    if size > MOST_STATE:
        raise InvalidInputError(
            f"The state of a training has at most {MOST_STATE} characters as JSON, and this has {size}: keep figures "
            "in it, and weights in checkpoints.",
            code="invalid_state",
        )
    return kept
