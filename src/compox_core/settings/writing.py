"""Settings as a configuration file that explains itself."""

from __future__ import annotations

import textwrap
import typing
from collections.abc import Iterator
from typing import Any

import yaml
from pydantic import BaseModel, Secret
from pydantic.fields import FieldInfo

from compox_core.settings.environment import variable_of
from compox_core.settings.keys import DECIDING, described, known_keys
from compox_core.settings.models import Settings

WIDTH = 100
HEAD = """\
# The configuration of a compox server. Every key may be left out. Those behind a number sign have no value, or a secret
# one that is not written here. This file wins over environment variables (COMPOX_STORAGE__FSYNC=true), options of a
# command line win over it (--storage.fsync true). A path that may begin with a prefix knows LOG_DEFAULT: (the user's
# folder for logs), PROGRAMDATA_DEFAULT: (that for data) and RELATIVE_DEFAULT: (the working directory).
"""


def config_text(settings: Settings) -> str:
    """Return the YAML of a configuration file that has these settings, with what each key means.

    No secret is in it: a comment in its place says how to give it. Keys without a value are comments, too. Loaded
    again it makes the same settings, secrets apart; one that must be given (`broker_url`) has to come from elsewhere.
    """
    return HEAD + "\n" + "\n".join(_lines(settings, "", 0)) + "\n"


def _lines(section: BaseModel, prefix: str, depth: int) -> Iterator[str]:
    model = type(section)
    meanings = described(model)
    for name, field in model.model_fields.items():
        value = getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _section(name, value, prefix, depth)
            continue
        yield from _comment(_kinds(f"{prefix}{name}") if name in DECIDING else meanings.get(name, ""), depth)
        yield from _indented(_entry(f"{prefix}{name}", name, field, value), depth)


def _section(name: str, section: BaseModel, prefix: str, depth: int) -> Iterator[str]:
    lines = list(_lines(section, f"{prefix}{name}.", depth + 1))
    if depth == 0:
        yield ""
    yield from _comment((type(section).__doc__ or "").split("\n\n")[0], depth)
    empty = all(line.lstrip().startswith("#") for line in lines)  # null in YAML, which is no section
    yield from _indented([f"# {name}:" if empty else f"{name}:"], depth)
    yield from lines


def _kinds(key: str) -> str:
    """Say between which kinds of a section a key chooses."""
    values = [value for field in known_keys()[key].fields for value in typing.get_args(field.annotation)]
    return f"One of {', '.join(values)}. It decides which other keys there are."


def _entry(key: str, name: str, field: FieldInfo, value: Any) -> list[str]:
    if isinstance(value, Secret):
        return [_secret_note(key, "as JSON "), f"# {name}: {{secret: FILE:/path/of/a/file}}"]
    if known_keys()[key].secret:
        return [_secret_note(key, ""), f"# {name}: FILE:/path/of/a/file"]
    if value is None and field.default is None:
        return [f"# {name}: null"]
    return [f"{name}: {_scalar(value)}"]


def _secret_note(key: str, how: str) -> str:
    return f"# A secret: keep it in a file, or {how}in the environment variable {variable_of(key)}."


def _scalar(value: Any) -> str:
    """Return a value on one line, as YAML reads it again."""
    texts = value if isinstance(value, list) else [value]
    odd = any(isinstance(text, str) and not text.isprintable() for text in texts)  # line breaks, say
    line = yaml.safe_dump(
        [value], default_flow_style=True, default_style='"' if odd else None, width=float("inf"), allow_unicode=True
    )
    return line.strip().removeprefix("[").removesuffix("]")


def _comment(text: str, depth: int) -> list[str]:
    lines = textwrap.wrap(" ".join(text.split()), WIDTH, break_long_words=False, break_on_hyphens=False)
    return _indented([f"# {line}" for line in lines], depth)


def _indented(lines: list[str], depth: int) -> list[str]:
    return ["  " * depth + line for line in lines]
