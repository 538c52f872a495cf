"""One of the places that settings come from, and how several are laid over each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from compox_core.settings.keys import choice_between, models_in
from compox_core.settings.models import Settings


@dataclass
class Source:
    """Settings from one place.

    Args:
        values: Nested as in a file.
        origins: In words where each key came from, by dotted key; the empty key stands for all.
    """

    values: Mapping[Any, Any] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)

    def origin(self, key: str) -> str | None:
        """Return in words where a key came from, or what is in a section; None where it is not from here."""
        if not _holds(self.values, key):
            return None
        parts = key.split(".")
        for length in range(len(parts), -1, -1):
            name = ".".join(parts[:length])
            if name in self.origins:
                return self.origins[name]
        return ", ".join(where for name, where in self.origins.items() if name.startswith(f"{key}.")) or None


def merged(sources: Sequence[Source]) -> dict[Any, Any]:
    """Return the settings of all sources by nested key; each wins over those before it.

    Where a source chooses another kind of store or executor, the keys of earlier ones that only the former kind has go
    with it. So nobody has to take them out of a file to try another kind.
    """
    values: dict[Any, Any] = {}
    for source in sources:
        values = _laid_over(values, source.values, [Settings])
    return values


def _laid_over(lower: Mapping[Any, Any], upper: Mapping[Any, Any], models: list[type[BaseModel]]) -> dict[Any, Any]:
    values = _fitting(lower, upper, models)
    for name, value in upper.items():
        before = values.get(name)
        fields = [model.model_fields[name] for model in models if name in model.model_fields]
        inner = list(models_in(fields[0].annotation)) if fields else []
        if inner and isinstance(value, Mapping):
            value = _laid_over(before if isinstance(before, Mapping) else {}, value, inner)
        values[name] = value
    return values


def _fitting(lower: Mapping[Any, Any], upper: Mapping[Any, Any], models: list[type[BaseModel]]) -> dict[Any, Any]:
    """Return what remains of a section when `upper` may say that it is of another kind."""
    choice = choice_between(models)
    tag = upper.get(choice.tag) if choice else None
    chosen = choice.models.get(tag) if choice and isinstance(tag, str) else None
    if choice is None or chosen is None:
        return dict(lower)
    others = {name for model in models for name in model.model_fields} - set(chosen.model_fields)
    if chosen is choice.models.get(str(lower.get(choice.tag))):
        return dict(lower)  # what does not fit there was never meant to
    return {name: value for name, value in lower.items() if name not in others}


def _holds(values: Any, key: str) -> bool:
    for part in key.split("."):
        if not isinstance(values, Mapping):
            return True  # the rest is a place in this value
        if part not in values:
            return False
        values = values[part]
    return True
