"""What a client may submit for the parameters that an algorithm declares."""

from __future__ import annotations

import copy
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from compox_core.algorithms.findings import short
from compox_core.errors import ParameterError
from compox_core.records import Parameter, ParameterConfig

SPOKEN = {"string": "a string", "int": "an integer", "float": "a finite number", "bool": "true or false"}
SPOKEN_MANY = {"string": "strings", "int": "integers", "float": "finite numbers", "bool": "booleans"}
JSON_TEXT = 100


def check_arguments(declared: Sequence[Parameter], submitted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that a run gets: what was submitted, checked, with declared defaults filled in.

    An integer is a float where a float is declared, and becomes one; a bool is no number; a scalar or array of numpy
    is what it holds. The declared default always fits. None means the default, and stays None where there is none.
    Keys that nobody declared pass through as they are. `step`, `decimal_precision` and `adjustable` are hints for a
    user interface. Nothing of the result is shared with `declared`.

    Raises:
        ParameterError: `details` has `parameter`, `rule` and `value`.
    """
    result = dict(submitted)
    for parameter in declared:
        value, default = submitted.get(parameter.name), parameter.config.default
        if value is not None:
            result[parameter.name] = _checked(parameter, value)
        elif default is not None:
            result[parameter.name] = copy.deepcopy(default)
    return result


def is_within(config: ParameterConfig, value: float) -> bool:
    """Return whether a number is from `min` to `max`, both included; None is no bound."""
    return (config.min is None or value >= config.min) and (config.max is None or value <= config.max)


def scalar(kind: str, value: Any) -> Any:
    """Return `value` as the Python type that `kind` (string, int, float, bool) names; None where it is another."""
    if kind == "string":
        return value if isinstance(value, str) else None
    if kind == "bool":
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        return None
    if kind == "int":
        return value if isinstance(value, int) else None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def _checked(parameter: Parameter, value: Any) -> Any:
    config = parameter.config
    kind, _, form = config.type.partition("_")
    plain = _plain(value)
    if form == "list":
        return _checked_list(parameter, kind, plain)
    converted = scalar(kind, plain)
    if converted is None:
        raise _broken(parameter, f"it must be {SPOKEN[kind]}", plain)
    if converted == config.default:
        return converted
    if form == "range" and not is_within(config, converted):
        raise _broken(parameter, f"it must be from {config.min} to {config.max}", plain)
    if form == "enum" and converted not in config.options:
        options = ", ".join(map(repr, config.options))
        raise _broken(parameter, f"it must be one of {options}", plain)
    return converted


def _checked_list(parameter: Parameter, kind: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise _broken(parameter, f"it must be a list of {SPOKEN_MANY[kind]}", value)
    converted = []
    for position, element in enumerate(value):
        item = scalar(kind, _plain(element))
        if item is None:
            raise _broken(parameter, f"each element must be {SPOKEN[kind]}, and element {position} is not", value)
        converted.append(item)
    config = parameter.config
    if config.options and converted != config.default and not _is_offered(converted, config.options):
        raise _broken(parameter, f"its elements must be among the options {short(config.options)}", value)
    return converted


def _is_offered(value: list[Any], options: list[Any]) -> bool:
    """Return whether each element is an option, or an element of one: options may be nested, as they had to be."""
    offered = [item for option in options for item in (option if isinstance(option, list) else [option])]
    return all(element in offered for element in value)


def _plain(value: Any) -> Any:
    """Return a scalar or an array of numpy as the Python value that it holds."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) and value.dtype.kind in "biufU" else value


def _broken(parameter: Parameter, rule: str, value: Any) -> ParameterError:
    return ParameterError(
        f"The parameter '{parameter.name}' ({parameter.config.type}) got {short(value)}: {rule}.",
        details={"parameter": parameter.name, "rule": rule, "value": _jsonable(value)},
    )


def _jsonable(value: Any) -> Any:
    """Return a value that JSON can hold and that a message may repeat; else how Python writes it."""
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and abs(value) < 1 << 64:
        return value
    return value if isinstance(value, str) and len(value) <= JSON_TEXT else short(value)
