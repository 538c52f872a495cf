"""The reference page and the models say the same."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr, ValidationError

from compox_core.settings import Settings
from compox_core.settings.keys import DECIDING, described, models_in
from tools.settings_reference import page

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "settings.md"


def keys(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield each dotted key with its default, of every member of a union."""
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
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


def test_the_tables_are_those_of_the_models() -> None:
    """The page is what the tool would write; where it is not, `python tools/settings_reference.py` mends it."""
    text = PAGE.read_text(encoding="utf-8")
    assert page(text) == text


def test_every_key_says_what_it_means() -> None:
    """No key is without a description, and each is a sentence."""
    for key, model in sections(Settings):
        meanings = described(model)
        for name, field in model.model_fields.items():
            if name not in DECIDING and not list(models_in(field.annotation)):
                assert meanings[name].endswith((".", "…")), f"{key}{name}"


def sections(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, type[BaseModel]]]:
    yield prefix, model
    for name, field in model.model_fields.items():
        for inner in models_in(field.annotation):
            yield from sections(inner, f"{prefix}{name}.")


def test_every_key_is_in_the_reference_with_its_default() -> None:
    """No key is missing on the page, none is invented, and the defaults are the true ones."""
    shown = rows()
    known: dict[str, set[str]] = {}
    for key, default in keys(Settings):
        known.setdefault(key, set()).add(written(default))
    assert shown.pop("storage.backend_settings.provider") == {"local"}
    assert shown.pop("inference.backend_settings.executor") == {"auto"}
    assert shown == known


def ranges() -> Iterator[tuple[str, str, dict[str, str]]]:
    """Yield each key whose type is a range, with that range and what decides on its section."""
    section: dict[str, str] = {}
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith(("## ", "### ")):
            found = re.fullmatch(r"### `(provider|executor): (\w+)`", line)
            section = {found[1]: found[2]} if found else {}
        if line.startswith("| `"):
            keys, kind, *_ = (cell.strip() for cell in line.strip("|").split("|"))
            if re.search(r"\d", kind):
                for key in re.findall(r"`([a-z0-9_.]+)`", keys):
                    yield key, kind, section


def edges(kind: str) -> tuple[list[float | None], list[float | None]]:
    """Return values just inside a range as the page writes it, and values just outside."""
    inside: list[float | None] = []
    outside: list[float | None] = []
    (inside if kind.endswith("or null") else outside).append(None)
    if found := re.search(r"(\d+) to (\d+)", kind):
        low, high = int(found[1]), int(found[2])
        return [*inside, low, high], [*outside, low - 1, high + 1]
    if found := re.search(r"above (\d+)", kind):
        inside, outside = [*inside, int(found[1]) + 1e-6], [*outside, int(found[1])]
    elif found := re.search(r"at least (\d+)", kind):
        inside, outside = [*inside, int(found[1])], [*outside, int(found[1]) - 1]
    if found := re.search(r"at most (\d+)", kind):
        return [*inside, int(found[1])], [*outside, int(found[1]) + 1]
    return [*inside, 10**12], outside


def test_every_range_in_the_reference_is_the_true_one() -> None:
    """What the page allows is accepted, and what lies just beyond is not."""
    checked = 0
    for key, kind, section in ranges():
        inside, outside = edges(kind)
        assert [value for value in inside if not accepts(key, value, section)] == [], f"{key}: {kind}"
        assert [value for value in outside if accepts(key, value, section)] == [], f"{key}: {kind}"
        checked += 1
    assert checked > 25


def accepts(key: str, value: float | None, section: dict[str, str]) -> bool:
    *parents, name = key.split(".")
    values: dict[str, Any] = {name: value, **section}
    if section.get("executor") == "celery":
        values["broker_url"] = "amqp://localhost"
    if name == "lost_after_seconds":
        values["heartbeat_seconds"] = 1e-9  # it must be three times that
    if name == "heartbeat_seconds":
        values["lost_after_seconds"] = 30 * 24 * 3600
    for parent in reversed(parents):
        values = {parent: values}
    try:
        Settings.model_validate(values)
    except ValidationError:
        return False
    return True
