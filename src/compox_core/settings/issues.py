"""What is wrong in a configuration, told without its values: some of them are secrets."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ValidationError

from compox_core.settings.keys import choice_between, models_in

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
    """Where an issue is: the dotted key as a user writes it, the models that may hold its last part, those that might
    if the section were of another kind, and whether its value is a secret."""

    key: str
    models: tuple[type[BaseModel], ...]
    kinds: tuple[type[BaseModel], ...]
    secret: bool

    @property
    def last(self) -> str:
        """The last part of the key."""
        return self.key.rpartition(".")[2]


@dataclass(frozen=True)
class Issue:
    """What is wrong with a key; `key` is its dotted name, or where it stands."""

    key: str
    problem: str

    def __str__(self) -> str:
        return f"{self.key}: {self.problem}"


def issues_of(error: ValidationError, top: type[BaseModel]) -> list[Issue]:
    """Return each issue with the dotted key, the rule, the kind of value that was given, the nearest name."""
    return [_issue(problem, top) for problem in error.errors(include_url=False)]


def _issue(problem: Any, top: type[BaseModel]) -> Issue:
    place = _place(problem["loc"], top)
    if problem["type"] in ("union_tag_not_found", "union_tag_invalid"):
        return _kind_issue(problem, place)
    return Issue(place.key or "the top", _problem(problem, place))


def _kind_issue(problem: Any, place: _Place) -> Issue:
    """Return what is wrong with the key that decides between the kinds of a section."""
    choice = choice_between(list(models_in(place.models[0].model_fields[place.last].annotation)))
    assert choice is not None
    key = f"{place.key}.{choice.tag}"
    if problem["type"] == "union_tag_not_found":
        return Issue(key, f"must be given; {nearest('', list(choice.models))}")
    return Issue(key, f"there is no such {choice.tag}; {nearest(problem['ctx']['tag'], list(choice.models))}")


def _problem(problem: Any, place: _Place) -> str:
    given = f"not {kind_of(problem['input'], shown=not place.secret)}"
    match problem["type"]:
        case "extra_forbidden":
            return _no_such_key(place)
        case "missing":
            return "must be given"
        case "literal_error":
            return f"must be {problem['ctx']['expected']}, {_hint(problem, given)}"
        case "model_type" | "model_attributes_type" | "dict_type":
            return f"must be a group of keys, {given}"
        case "invalid_key":
            return f"a key must be a text, {given}"
        case "value_error":
            return str(problem["ctx"]["error"])
    rule = RULES.get(problem["type"].partition("_")[0]) or problem["msg"].removeprefix("Input should be ")
    return f"must be {rule}, {given}"


def _no_such_key(place: _Place) -> str:
    choice = choice_between(place.kinds)
    others = [value for value, model in choice.models.items() if place.last in model.model_fields] if choice else []
    if choice and others:
        here = next(value for value, model in choice.models.items() if model in place.models)
        return f"belongs to the {choice.tag} {' or '.join(others)}, and here it is {here}"
    return (
        f"there is no such key; {nearest(place.last, [name for model in place.models for name in model.model_fields])}"
    )


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
    holders = kinds = held_kinds = models
    names: list[str] = []
    tagged = secret = False
    for part in location:
        if part == "[key]":  # how Pydantic says that the name before it is what is wrong
            continue
        if tagged and len(models) > 1:
            choice = choice_between(models)
            models = (choice.models[str(part)],) if choice and part in choice.models else models
            tagged = False
            continue
        names.append(str(part))
        holders, held_kinds = models, kinds
        field = next((model.model_fields[part] for model in models if part in model.model_fields), None)
        models = kinds = tuple(models_in(field.annotation)) if field is not None and isinstance(part, str) else ()
        tagged = field is not None and len(models) > 1
        secret = secret or (field is not None and "Secret" in str(field.annotation))
    return _Place(".".join(names), holders, held_kinds, secret)
