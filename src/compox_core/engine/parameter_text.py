"""Parameters as people type them: `key=value`."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from compox_core.errors import InvalidInputError


def parse_parameters(assignments: Iterable[str]) -> dict[str, Any]:
    """Return `["weight=0.2", "method=otsu"]` as `{"weight": 0.2, "method": "otsu"}`.

    A value is read as JSON, and is the text as it stands where it is no JSON; so a text that looks like a number is
    given in JSON quotes: `label="7"`. Raises InvalidInputError (`invalid_assignment`) for an entry without a key or
    without `=`, and for a key that comes twice.
    """
    parameters: dict[str, Any] = {}
    for assignment in assignments:
        key, equals, text = assignment.partition("=")
        key = key.strip()
        if not equals or not key:
            raise InvalidInputError(
                f"'{assignment}' is no parameter: write key=value, for example -p weight=0.2.",
                code="invalid_assignment",
                details={"assignment": assignment},
            )
        if key in parameters:
            raise InvalidInputError(
                f"The parameter '{key}' is given twice: give it once.",
                code="invalid_assignment",
                details={"assignment": assignment},
            )
        parameters[key] = _value(text)
    return parameters


def _value(text: str) -> Any:
    try:
        # NaN and Infinity are no JSON, though Python reads them; they stay text, which a number's rule then refuses.
        return json.loads(text, parse_constant=_refuse)
    except ValueError:
        return text


def _refuse(name: str) -> Any:
    raise ValueError(name)
