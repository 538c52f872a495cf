"""From the text of an environment variable or of a command line to the value of a key."""

from __future__ import annotations

import json
from typing import Any

from pydantic import Secret

from compox_core.settings.keys import Key

NULLS = ("null", "none")


def value_of(text: str, key: Key) -> Any:
    """Return the value that a text means for a key, by the type of the key; the model then judges it.

    A text stays one, whatever it looks like. `null` or `none` is no value, where the key can do without. A list is
    JSON, or its items with commas between them. A mapping or a section is JSON. Numbers and truth values are left to
    the model, which reads them from text. Raises ValueError, without the text.
    """
    kinds = key.kinds
    if type(None) in kinds and text.strip().lower() in NULLS:
        return None
    if key.section or kinds & {dict, Secret}:
        return _json(text, dict, "a JSON object, such as {…}")
    if list in kinds:
        return _list(text)
    return text


def takes_flag(key: Key) -> bool:
    """Return whether the name of a key alone can mean true."""
    return bool in key.kinds


def _list(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        found: list[Any] = _json(text, list, "a list: JSON, or texts with commas between them")
        return found
    return [part.strip() for part in text.split(",")] if text.strip() else []


def _json(text: str, kind: type, rule: str) -> Any:
    try:
        value = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        repeated = f": {error.args[0]}" if isinstance(error, _RepeatedError) else ""
        raise ValueError(f"must be {rule}{repeated}") from None  # the cause has the text
    if not isinstance(value, kind):
        raise ValueError(f"must be {rule}")
    return value


class _RepeatedError(ValueError):
    """A key stands twice in an object."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        raise _RepeatedError("a key stands there twice")
    return values
