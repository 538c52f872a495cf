"""The reference page and the models say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr

from compox_core.settings import Settings
from compox_core.settings.issues import _models_in

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"
DECIDING = ("provider", "executor")  # which member of a union it is


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key with its default, of every member of a union."""
    for name, field in model.model_fields.items():
        inner = list(_models_in(field.annotation))
        if not inner and name not in DECIDING:
            yield prefix + name, field.get_default(call_default_factory=True)
        for each in inner:
            yield from keys(each, f"{prefix}{name}.")


def rows() -> dict[str, set[str]]:
    """Return what the tables of the page say: each key with the texts of its defaults."""
    found: dict[str, set[str]] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            cells = [cell.strip() for cell in line.strip("|").split("|")]
            for key in re.findall(r"`([a-z0-9_.]+)`", cells[0]):
                found.setdefault(key, set()).add(cells[2].strip("`"))
    return found


def written(default: Any) -> str:
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, str):
        return default or "empty"
    if isinstance(default, list):
        return f"[{', '.join(default)}]"
    if hasattr(default, "get_secret_value"):
        return "empty"
    return json.dumps(default) if default is None or isinstance(default, bool | int | float) else "required"


def test_every_key_is_in_the_reference_with_its_default() -> None:
    """No key is missing on the page, none is invented, and the defaults are the true ones."""
    page = rows()
    known: dict[str, set[str]] = {}
    for key, default in keys(Settings):
        known.setdefault(key, set()).add(written(default))
    assert page.pop("storage.backend_settings.provider") == {"local"}
    assert page.pop("inference.backend_settings.executor") == {"auto"}
    assert page == known
