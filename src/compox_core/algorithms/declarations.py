"""The parameters that an author declares in `[tool.compox]`, and what is wrong with them."""

from __future__ import annotations

import re
from typing import Any

from pydantic import ValidationError

from compox_core.algorithms.findings import Findings, short
from compox_core.algorithms.parameters import is_within, scalar
from compox_core.records import Parameter, ParameterConfig
from compox_core.records.parameter import PARAMETER_TYPES

PARAMETER_KEYS = tuple(Parameter.model_fields)
CONFIG_KEYS = tuple(ParameterConfig.model_fields)
STRICTLY = {
    "string": "a string",
    "int": "an integer",
    "float": "a finite float (write 1.0, not 1)",
    "bool": "true or false",
}


def declared_parameters(value: Any, place: str, found: Findings) -> list[Parameter]:
    """Return the parameters of a list in `pyproject.toml`; what is wrong with any of them goes to `found`."""
    entries = found.typed(value, list, place, [])
    read = [_parameter(entry, f"{place}[{position}]", found) for position, entry in enumerate(entries)]
    parameters = [parameter for parameter in read if parameter is not None]
    names = [parameter.name for parameter in parameters]
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            found.issues.append(f"{place} declares the name {name!r} more than once")
    return parameters


def displayed_name(name: str) -> str:
    """Return a name as a user interface shows it: words apart, first letter large."""
    words = " ".join(re.split(r"[\s_-]+", name)).strip()
    return words[:1].upper() + words[1:]


def _parameter(entry: Any, place: str, found: Findings) -> Parameter | None:
    if not isinstance(entry, dict):
        found.issues.append(f"{place} must be a table with name and config, not {short(entry)}")
        return None
    name = found.typed(entry.get("name", ""), str, f"{place}.name", "")
    if name:
        place = f"{place} ({name})"
    else:
        found.warn(f"{place} has no name, so nobody can set it")
    found.note_unknown(entry, PARAMETER_KEYS, place)
    shown = found.typed(entry.get("displayed_name", ""), str, f"{place}.displayed_name", "")
    description = found.typed(entry.get("description", ""), str, f"{place}.description", "")
    if not description:
        found.warn(f"{place} has no description")
    config = _config(entry.get("config"), f"{place}.config", found)
    if config is None:
        return None
    return Parameter(name=name, displayed_name=shown or displayed_name(name), description=description, config=config)


def _config(value: Any, place: str, found: Findings) -> ParameterConfig | None:
    if not isinstance(value, dict):
        found.issues.append(f"{place} must be a table with a type, not {short(value)}")
        return None
    if not found.choice(value.get("type"), PARAMETER_TYPES, f"{place}.type"):
        return None
    found.note_unknown(value, CONFIG_KEYS, place)
    try:
        config = ParameterConfig.model_validate(value, strict=True)
    except ValidationError as error:
        wrong = {str(problem["loc"][0]): problem["msg"] for problem in error.errors(include_url=False)}
        for key, message in wrong.items():  # one for each key: a union reports each of its members
            found.issues.append(f"{place}.{key}: {message}, not {short(value[key])}")
        return None
    found.issues += [f"{place}.{issue}" for issue in _issues(config)]
    for warning in _warnings(config):
        found.warn(f"{place}.{warning}")
    if config.default is None and config.type.endswith("_enum") and config.options:
        return config.model_copy(update={"default": config.options[0]})
    return config


def _issues(config: ParameterConfig) -> list[str]:
    """Return what is wrong, each beginning with its key.

    Types are strict here, as they always were: an integer is no default for a `float`. The elements of lists, which
    nobody checked before, may be integers where floats are declared.
    """
    kind, _, form = config.type.partition("_")
    issues = []
    if form == "list":
        issues += _list_issues(config, kind)
    elif config.default is not None and not _is_strictly(kind, config.default):
        issues.append(f"default {short(config.default)} is not {STRICTLY[kind]}")
    if form == "range":
        issues += _range_issues(config, kind)
    if form == "enum":
        issues += _enum_issues(config, kind)
    if config.decimal_precision is not None:
        if kind != "float":
            issues.append(f"decimal_precision belongs to float types, not to {config.type}")
        elif config.decimal_precision < 0:
            issues.append("decimal_precision must not be negative")
    return issues


def _warnings(config: ParameterConfig) -> list[str]:
    """Return what is allowed and probably not meant, each beginning with its key."""
    _, _, form = config.type.partition("_")
    warnings = []
    if config.default is None and form != "enum":
        warnings.append("default is not set, so nothing is filled in when a client leaves the parameter out")
    elif form == "range" and _is_number(config.default) and not is_within(config, config.default):
        warnings.append(f"default {short(config.default)} is not within min and max")
    if form == "list" and not config.options:
        warnings.append("options is empty, so a user interface has nothing to offer")
    return warnings


def _range_issues(config: ParameterConfig, kind: str) -> list[str]:
    issues = []
    for name in ("min", "max", "step"):
        bound = getattr(config, name)
        if bound is None:
            issues.append(f"{name} is required for {config.type}")
        elif not _is_strictly(kind, bound):
            issues.append(f"{name} {short(bound)} is not {STRICTLY[kind]}")
    if not issues and config.min is not None and config.max is not None and config.min >= config.max:
        issues.append(f"min {short(config.min)} must be less than max {short(config.max)}")
    return issues


def _enum_issues(config: ParameterConfig, kind: str) -> list[str]:
    if not config.options:
        return [f"options must not be empty for {config.type}"]
    wrong = [option for option in config.options if not _is_strictly(kind, option)]
    if wrong:
        return [f"options has {short(wrong[0])}, which is not {STRICTLY[kind]}"]
    if config.default is not None and config.default not in config.options:
        return [f"default {short(config.default)} is not among the options"]
    return []


def _list_issues(config: ParameterConfig, kind: str) -> list[str]:
    if config.default is not None and not isinstance(config.default, list):
        return [f"default {short(config.default)} is not a list"]
    offered = [item for option in config.options for item in (option if isinstance(option, list) else [option])]
    issues = []
    for key, elements in (("default", config.default or []), ("options", offered)):
        wrong = [element for element in elements if scalar(kind, element) is None]
        if wrong:
            issues.append(f"{key} has {short(wrong[0])}, which is not {STRICTLY[kind].partition(' (')[0]}")
    return issues


def _is_strictly(kind: str, value: Any) -> bool:
    if kind == "float" and not isinstance(value, float):
        return False
    return scalar(kind, value) is not None


def _is_number(value: Any) -> bool:
    return scalar("float", value) is not None
