"""A parameter that an algorithm declares, as it is stored and shown."""

from __future__ import annotations

from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field

ParameterType = Literal[
    "string", "int", "float", "bool",
    "int_range", "float_range",
    "string_enum", "int_enum", "float_enum",
    "string_list", "int_list", "float_list", "bool_list",
]  # fmt: skip

PARAMETER_TYPES: tuple[str, ...] = get_args(ParameterType)


class ParameterConfig(BaseModel):
    """The rules of one parameter.

    `step`, `decimal_precision` and `adjustable` are hints for a user interface; `type`, `options`, `min` and `max`
    are checked when a run is submitted. `default` None means that nothing is filled in.
    """

    model_config = ConfigDict(extra="ignore", frozen=True)

    type: ParameterType
    default: Any = None
    adjustable: bool = False
    options: list[Any] = Field(default_factory=list)
    min: int | float | None = None
    max: int | float | None = None
    step: int | float | None = None
    decimal_precision: int | None = None


class Parameter(BaseModel):
    """One declared parameter: its name, how a user interface shows it, and its rules."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    displayed_name: str = ""
    description: str = ""
    config: ParameterConfig
