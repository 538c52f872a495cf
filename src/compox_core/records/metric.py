"""One point of a training's metric history."""

from __future__ import annotations

import math
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer

_WORDS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


def metric_from_json(value: Any) -> Any:
    """Return the number that stands in JSON; what is none is left to whoever checks."""
    return _WORDS.get(value, value) if isinstance(value, str) else value


def metric_to_json(value: float) -> float | str:
    """Return a number as it stands in JSON."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


MetricValue = Annotated[float, BeforeValidator(metric_from_json), PlainSerializer(metric_to_json, when_used="json")]
"""A number; in JSON those that it has no word for are `"NaN"`, `"Infinity"` and `"-Infinity"` (as in the JSON mapping
of Protocol Buffers, version 3)."""


class MetricPoint(BaseModel):
    """What a training measured at one step: numbers by name, and when (UTC)."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    step: int
    time: datetime
    values: dict[str, MetricValue]
