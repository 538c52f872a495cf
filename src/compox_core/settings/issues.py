"""What is wrong in a configuration, told without its values: some of them are secrets."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

RULES = {"string": "a text", "int": "a whole number", "float": "a number", "bool": "true or false", "list": "a list"}
KINDS: tuple[tuple[type, str], ...] = (
    (bool, "a truth value"),
    (int, "a whole number"),
    (float, "a number"),
    (str, "a text"),
    (Mapping, "a group of keys"),
    (Sequence, "a list"),
)


@dataclass(frozen=True)
class _Place:
    """Where an issue is: the dotted key as a user writes it, the models that may hold its last part, and whether its
    value is a secret."""

    key: str
    models: tuple[type[BaseModel], ...]
    secret: bool


def issues_of(error: ValidationError, top: type[BaseModel]) -> list[str]:
    """Return a line for each issue: the dotted key, the rule, the kind of value that was given, the nearest name."""
    return [_issue(problem, top) for problem in error.errors(include_url=False)]


def _issue(problem: Any, top: type[BaseModel]) -> str:
    place = _place(problem["loc"], top)
    last = place.key.rpartition(".")[2]
    given = f"not {kind_of(problem['input'], shown=not place.secret)}"
    match problem["type"]:
        case "extra_forbidden":
            names = [name for model in place.models for name in model.model_fields]
            return f"{place.key}: there is no such key; {nearest(last, names)}"
        case "missing":
            return f"{place.key}: must be given"
        case "union_tag_not_found" | "union_tag_invalid":
            name, tags = _tags(place.models, last)
            key = f"{place.key}.{name}"
            if problem["type"] == "union_tag_not_found":
                return f"{key}: must be given; {nearest('', tags)}"
            return f"{key}: there is no such {name}; {nearest(problem['ctx']['tag'], tags)}"
        case "literal_error":
            return f"{place.key}: must be {problem['ctx']['expected']}, {_hint(problem, given)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"{place.key or 'the top'}: must be a group of keys, {given}"
        case "invalid_key":
            return f"{place.key}: a key must be a text, {given}"
        case "value_error":
            return f"{place.key}: {problem['ctx']['error']}"
    rule = RULES.get(problem["type"].partition("_")[0]) or problem["msg"].removeprefix("Input should be ")
    return f"{place.key}: must be {rule}, {given}"


def kind_of(value: Any, *, shown: bool = True) -> str:
    """Say what kind of value it is; where it may be `shown`, a number as it stands, and a text never."""
    if value is None:
        return "null"
    for kind, words in KINDS:
        if isinstance(value, kind):
            return f"{words} ({value})" if shown and kind in (bool, int, float) else words
    return f"a {type(value).__name__}"


def nearest(word: str, known: Sequence[str]) -> str:
    """Suggest the known name that is most like `word`, else tell them all."""
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else f"known are {', '.join(known)}"


def _hint(problem: Any, given: str) -> str:
    known = [word.strip("' ") for word in problem["ctx"]["expected"].replace(" or ", ",").split(",")]
    value = problem["input"]
    close = difflib.get_close_matches(value.lower(), [word.lower() for word in known], 1) if type(value) is str else []
    return f"{given}; did you mean '{known[[word.lower() for word in known].index(close[0])]}'?" if close else given


def _place(location: Sequence[str | int], top: type[BaseModel]) -> _Place:
    """Follow a location through the models. Pydantic names the chosen member of a union there; nobody writes that."""
    models: tuple[type[BaseModel], ...] = (top,)
    holders = models
    names: list[str] = []
    tagged = secret = False
    for part in location:
        if part == "[key]":  # how Pydantic says that the name before it is what is wrong
            continue
        if tagged and len(models) > 1:
            models = tuple(model for model in models if part in _literals(model)) or models
            tagged = False
            continue
        names.append(str(part))
        holders = models
        field = next((model.model_fields[part] for model in models if part in model.model_fields), None)
        models = tuple(_models_in(field.annotation)) if field is not None and isinstance(part, str) else ()
        tagged = field is not None and len(models) > 1
        secret = secret or (field is not None and "Secret" in str(field.annotation))
    return _Place(".".join(names), holders, secret)


def _tags(holders: tuple[type[BaseModel], ...], name: str) -> tuple[str, list[str]]:
    """Return the key that decides between the members of a union, and its values."""
    field: FieldInfo = holders[0].model_fields[name]
    members = list(_models_in(field.annotation))
    shared = next(key for key in members[0].model_fields if all(_values(member, key) for member in members))
    return shared, [value for member in members for value in _values(member, shared)]


def _literals(model: type[BaseModel]) -> list[Any]:
    return [value for name in model.model_fields for value in _values(model, name)]


def _values(model: type[BaseModel], name: str) -> list[Any]:
    field = model.model_fields.get(name)
    if field is None or typing.get_origin(field.annotation) is not typing.Literal:
        return []
    return list(typing.get_args(field.annotation))


def _models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for part in typing.get_args(annotation):
        if not isinstance(part, FieldInfo):
            yield from _models_in(part)
