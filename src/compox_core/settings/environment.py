"""Settings from environment variables: `COMPOX_STORAGE__FSYNC=true`."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from compox_core.settings.issues import Issue
from compox_core.settings.keys import known_keys, nearest_key
from compox_core.settings.source import Source, merged
from compox_core.settings.texts import value_of

logger = logging.getLogger(__name__)

PREFIX = "COMPOX_"
LEVEL = "__"


@dataclass(frozen=True)
class _Variable:
    """A variable of ours: `doubled` where two underscores follow on the prefix, as an older README writes it."""

    name: str
    key: str
    doubled: bool

    @property
    def rank(self) -> tuple[int, bool, bool]:
        """What is higher wins: the deeper key, the usual form, the usual case."""
        return self.key.count("."), not self.doubled, self.name == self.name.upper()


def read_environment(environment: Mapping[str, str]) -> tuple[Source, list[Issue]]:
    """Return what the variables say, and what is wrong with them.

    A variable without `__` whose name is no key is left alone, as other tools use the prefix too; one with it is wrong.
    """
    values: dict[Any, Any] = {}
    origins: dict[str, str] = {}
    issues = []
    for variable in sorted(_ours(environment), key=lambda variable: variable.rank):
        key = known_keys().get(variable.key)
        if key is None:
            issues.append(_unknown(variable))
            continue
        try:
            value = value_of(environment[variable.name], key)
        except ValueError as error:
            issues.append(Issue(f"{variable.key}", f"{error} (environment variable {variable.name})"))
            continue
        values = merged([Source(values), Source(nested(variable.key, value))])
        origins[variable.key] = f"environment variable {variable.name}"
    return Source(values, origins), issues


def variable_of(key: str) -> str:
    """Return the name of the environment variable for a dotted key."""
    return PREFIX + key.replace(".", LEVEL).upper()


def nested(key: str, value: Any) -> dict[str, Any]:
    """Return the mapping of mappings in which a dotted key has a value."""
    for part in reversed(key.split(".")):
        value = {part: value}
    return value  # type: ignore[no-any-return]


def _ours(environment: Mapping[str, str]) -> list[_Variable]:
    found = []
    for name in environment:
        if not name.upper().startswith(PREFIX):
            continue
        rest = name[len(PREFIX) :]
        doubled = rest.startswith("_")
        key = rest.removeprefix("_").lower().replace(LEVEL, ".")
        if doubled or "." in key or key in known_keys():
            found.append(_Variable(name, key, doubled))
        elif near := _slip(key):
            logger.warning("The environment variable %s is no setting and has no effect: is %s meant?", name, near)
    return found


def _slip(key: str) -> str | None:
    """Return the variable that is most likely misspelt, by one letter or two; None where it is another tool's."""
    near = nearest_key(key)
    return variable_of(near) if near and "." not in near and abs(len(near) - len(key)) < 2 else None


def _unknown(variable: _Variable) -> Issue:
    near = nearest_key(variable.key)
    hint = f"did you mean {variable_of(near)}?" if near else "sections and keys are parted by two underscores"
    return Issue(f"environment variable {variable.name}", f"there is no such setting; {hint}")
