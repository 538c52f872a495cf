"""Values that fit a schema, or one error that names every key that does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import ValidationError

from compox_core.data.schemas import DataSchema
from compox_core.errors import DataError


def validate(schema: type[DataSchema], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return exactly the fields of `schema`, filled from `values`; arrays are passed on, not copied.

    Unknown keys are dropped, absent optional fields get their default, stacked arrays are split where the schema says
    list. Raises DataError(code="invalid_data") that names the schema and, for each problem, the key, the rule and
    what was given.
    """
    if not isinstance(values, Mapping):
        raise DataError(
            f"The data for {schema.__name__} must be a dict with the keys {', '.join(schema.model_fields)}, "
            f"not {described(values)}.",
            details={"schema": schema.__name__, "errors": []},
        )
    try:
        return schema.model_validate(dict(values)).model_dump()
    except ValidationError as error:
        raise _data_error(schema, values, error) from error


def _data_error(schema: type[DataSchema], values: Mapping[str, Any], error: ValidationError) -> DataError:
    problems = [_problem(values, dict(item)) for item in error.errors(include_url=False)]
    listed = " ".join(f"`{p['key']}`: {p['rule']} Given: {p['given']}." for p in problems[:5])
    more = f" … and {len(problems) - 5} more." if len(problems) > 5 else ""
    return DataError(
        f"The data does not fit {schema.__name__}. {listed}{more}",
        details={"schema": schema.__name__, "errors": problems[:100]},
    )


def _problem(values: Mapping[str, Any], item: dict[str, Any]) -> dict[str, str]:
    place = item["loc"]
    key = ".".join(map(str, place)) or "data"
    if item["type"] == "missing" or (len(place) == 1 and values.get(place[0]) is None):
        return {"key": key, "rule": "is required; add a dataset of this name.", "given": "nothing"}
    given = described(item["input"]) if place else "keys " + ", ".join(sorted(map(str, values)))
    return {"key": key, "rule": _rule(item), "given": given}


def _rule(item: dict[str, Any]) -> str:
    cause = item.get("ctx", {}).get("error")
    if isinstance(cause, ValueError):
        return str(cause)
    if item["type"] == "is_instance_of" and item["ctx"]["class"] == "ndarray":
        return "must be a numpy array; make one with numpy.asarray(value)."
    return f"{str(item['msg']).rstrip('.')}."


def described(value: Any) -> str:
    """What a value is, in a few words for an error message: dtype and shape of an array, else its type."""
    if isinstance(value, np.ndarray):
        return f"an array {value.dtype.str if not value.dtype.isnative else value.dtype} {value.shape}"
    if isinstance(value, str | int | float | bool | np.generic):
        text = repr(value)
        return f"{type(value).__name__} {text if len(text) <= 60 else text[:57] + '...'}"
    if isinstance(value, list | tuple):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a value of type {type(value).__name__}"
