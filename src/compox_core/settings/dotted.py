"""Settings on a command line: `--storage.fsync true`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def parse_dotted(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the nested settings of `--a.b value` and `--a.b=value`, for `load_settings(…, overrides=…)`.

    Raises SettingsError (`unknown_option`) for what is no option of a setting.
    """
    values: dict[str, Any] = {}
    words = list(arguments)
    while words:
        name, equals, text = words.pop(0).removeprefix("--").partition("=")
        if not equals:
            text = words.pop(0) if words else "true"
        *parents, last = name.split(".")
        place = values
        for parent in parents:
            place = place.setdefault(parent, {})
        place[last] = text
    return values
