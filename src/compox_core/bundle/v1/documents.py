"""JSON that somebody else wrote."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, ValidationError

from compox_core.algorithms.findings import short


def _utc(time: datetime) -> datetime:
    return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)


Time = Annotated[datetime, AfterValidator(_utc)]
"""A time that is UTC where it does not say so."""


def parse_object(data: bytes) -> dict[str, Any]:
    """Return a JSON object. What JSON has no word for (NaN, which Python writes) is read as null.

    Raises ValueError with the reason as the end of a sentence.
    """
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=lambda word: None)
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # half a surrogate pair is no text
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 (byte {error.start})") from error
    except UnicodeEncodeError as error:
        raise ValueError("holds half a surrogate pair") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply") from error
    except ValueError as error:  # also a number of thousands of digits
        raise ValueError(f"is not JSON ({error})") from error
    if not isinstance(value, dict):
        raise ValueError(f"is {short(value)}, not a JSON object")
    return value


def issues_of(error: ValidationError, what: str) -> list[str]:
    """Return what is wrong with a document, each with its place in it."""
    return [
        f"{what}: {'.'.join(str(part) for part in problem['loc'])}: {problem['msg']}, not {short(problem['input'])}"
        for problem in error.errors(include_url=False)
    ]
