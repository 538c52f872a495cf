"""What the sections of the configuration are made of: their base and the kinds of values."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

LogLevel = Literal["TRACE", "DEBUG", "INFO", "SUCCESS", "WARNING", "ERROR", "CRITICAL"]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):  # which pydantic reads as 1 or 0
        raise ValueError("must be a number, not a truth value")
    return value


def _device(name: str) -> str:
    if not re.fullmatch(r"cpu|mps|cuda:(0|[1-9][0-9]{0,3})", name):
        raise ValueError("there is no such device; known are cpu, mps, cuda:0, cuda:1 and so on")
    return name


def _signer(text: str) -> str:
    text = text.strip()
    if not re.fullmatch(r"compox-signer-[A-Za-z0-9_-]{48}", text):
        raise ValueError("is no signer, which is 'compox-signer-' and 48 characters of A-Z, a-z, 0-9, - and _")
    return text


Port = Annotated[int, Field(ge=0, le=65535), BeforeValidator(_no_bool)]
FixedPort = Annotated[int, Field(ge=1, le=65535), BeforeValidator(_no_bool)]
Days = Annotated[int, Field(ge=1, le=36_500), BeforeValidator(_no_bool)]
Count = Annotated[int, Field(ge=1), BeforeValidator(_no_bool)]
Seconds = Annotated[int, Field(ge=0), BeforeValidator(_no_bool)]
Workers = Annotated[int, Field(ge=1, le=1000), BeforeValidator(_no_bool)]
WorkerDevice = Annotated[str, AfterValidator(_device)]
Signer = Annotated[str, AfterValidator(_signer)]
Amount = Annotated[float, Field(gt=0, allow_inf_nan=False), BeforeValidator(_no_bool)]
Interval = Annotated[float, Field(gt=0, le=30 * 24 * 3600, allow_inf_nan=False), BeforeValidator(_no_bool)]


class Section(BaseModel):
    """A part of the configuration. What a key means stands below it as text, which `described` reads."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)
