"""Which keys a configuration may have, as the models say."""

from __future__ import annotations

import ast
import difflib
import functools
import inspect
import itertools
import sys
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, Secret, SecretStr
from pydantic.fields import FieldInfo

from compox_core.settings.models import Settings

DECIDING = ("provider", "executor")
"""The keys that say of which kind a section is."""


@dataclass(frozen=True)
class Choice:
    """A section of which there are several kinds: the key that decides, and the model of each of its values."""

    tag: str
    models: Mapping[str, type[BaseModel]]


@dataclass(frozen=True)
class Key:
    """A key by its dotted name, with its field in each model that has it; `section` where it holds other keys."""

    name: str
    fields: tuple[FieldInfo, ...]
    section: bool

    @property
    def kinds(self) -> frozenset[Any]:
        """The types that its value may have: plain ones, models, NoneType."""
        return frozenset(kind for field in self.fields for kind in _kinds(field.annotation))

    @property
    def secret(self) -> bool:
        """Whether its value is shown to nobody."""
        return any(inspect.isclass(kind) and issubclass(kind, Secret | SecretStr) for kind in self.kinds)


@functools.cache
def known_keys() -> Mapping[str, Key]:
    """Return every key, sections included, by its dotted name."""
    found: dict[str, Key] = {}
    for key in _walk(Settings, ""):
        before = found.get(key.name)
        found[key.name] = Key(key.name, (*before.fields, *key.fields), key.section) if before else key
    return types.MappingProxyType(found)


def nearest_key(name: str) -> str | None:
    """Return the dotted name that somebody may have meant who wrote `name`."""
    name = name.lower().replace("-", "_")
    known = known_keys()
    same_end = [key for key in known if key.rpartition(".")[2] == name.rpartition(".")[2]]
    for candidates, cutoff in ((same_end, 0.0), (list(known), 0.6)):
        if close := difflib.get_close_matches(name, candidates, n=1, cutoff=cutoff):
            return close[0]
    return None


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the models that a value of this type may be: several for a section of which there are several kinds."""
    for kind in _kinds(annotation):
        if inspect.isclass(kind) and issubclass(kind, BaseModel):
            yield kind


def choice_between(models: Sequence[type[BaseModel]]) -> Choice | None:
    """Return what decides between these models; None where there are not several."""
    if len(models) < 2:
        return None
    tag = next(name for name in models[0].model_fields if all(allowed(model, name) for model in models))
    return Choice(tag, {value: model for model in models for value in allowed(model, tag)})


def allowed(model: type[BaseModel], name: str) -> list[Any]:
    """Return the values between which a key may choose; none where it takes others."""
    field = model.model_fields.get(name)
    if field is None or typing.get_origin(field.annotation) is not typing.Literal:
        return []
    return list(typing.get_args(field.annotation))


@functools.cache
def described(model: type[BaseModel]) -> Mapping[str, str]:
    """Return what each key of a model means: the text that stands below it in the source, empty where that is lost.

    Pydantic's own `use_attribute_docstrings` would read the source at each start of the program.
    """
    try:
        module = ast.parse(inspect.getsource(sys.modules[model.__module__]))
    except (OSError, SyntaxError, KeyError):
        return {}
    body = next(node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == model.__name__)
    return {
        node.target.id: " ".join(text.value.value.split())
        for node, text in itertools.pairwise(body)
        if isinstance(node, ast.AnnAssign)
        and isinstance(node.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
        and isinstance(text.value.value, str)
    }


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Key]:
    for name, field in model.model_fields.items():
        inner = list(models_in(field.annotation))
        yield Key(prefix + name, (field,), bool(inner))
        for each in inner:
            yield from _walk(each, f"{prefix}{name}.")


def _kinds(annotation: Any) -> Iterator[Any]:
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        yield from _kinds(typing.get_args(annotation)[0])
    elif origin in (typing.Union, types.UnionType):
        for part in typing.get_args(annotation):
            yield from _kinds(part)
    elif origin is typing.Literal:
        yield from {type(value) for value in typing.get_args(annotation)}
    else:
        yield origin or annotation
