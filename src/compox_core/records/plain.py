"""From Python values to what JSON can hold."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from typing import Any

MAX_DEPTH = 64
MAX_MESSAGE = 16 * 1024
MAX_WRITTEN = 200


def plain(value: Any, depth: int = 0) -> Any:
    """Return `value` as JSON holds it: None, bool, int, finite float, str, and lists and dicts of these.

    Scalars and arrays that have `tolist` (numpy, torch) become numbers and lists, tuples become lists, paths and enum
    members what they stand for. Raises ValueError for everything else, with the reason as the end of a sentence.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"is nested more than {MAX_DEPTH} deep, or holds itself")
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _encodable(str.__str__(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"holds {float(value)}, which JSON has no word for")
        return float(value)
    if isinstance(value, Mapping):
        return {_key(key): plain(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, depth + 1) for item in value]
    if isinstance(value, os.PathLike):
        return _encodable(os.fsdecode(value))
    if hasattr(value, "dtype") and hasattr(value, "tolist"):
        held = value.tolist()
        if not hasattr(held, "dtype"):  # numpy gives some scalars (longdouble) back as they were
            return plain(held, depth + 1)
    raise ValueError(f"holds {type(value).__name__}, which a record cannot keep")


def plain_or_written(value: Any) -> Any:
    """Return `value` as JSON holds it, else how Python writes it, shortened."""
    try:
        return plain(value)
    except Exception:  # whatever an object's own methods raise
        return written(value)


def written(value: Any) -> str:
    """Return how Python writes a value, shortened; never raises."""
    try:
        text = repr(value)
    except Exception:  # whatever an object's own `__repr__` raises
        text = f"<{type(value).__name__}>"
    text = encodable(text)
    return text if len(text) <= MAX_WRITTEN else text[:MAX_WRITTEN] + "…"


def said(error: BaseException) -> str:
    """Return an exception's message, bounded, as UTF-8 can hold it; never raises."""
    try:
        text = str(error) or type(error).__name__
    except Exception:  # whatever an exception's own `__str__` raises
        text = f"{type(error).__name__} (its message cannot be read: its __str__ raises)"
    if len(text) > MAX_MESSAGE:
        text = f"{text[:MAX_MESSAGE]} …"
    return encodable(text)


def encodable(text: str) -> str:
    """Return `text` with what UTF-8 cannot hold (lone surrogates) written as escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise ValueError(f"holds the text {written(text)}, which is not valid Unicode") from None
    return text


def _key(key: Any) -> str:
    if not isinstance(key, str):
        raise ValueError(f"holds a dict with the key {written(key)}; keys must be strings")
    return _encodable(str.__str__(key))
