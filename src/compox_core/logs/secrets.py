"""What of the settings no log line may show."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote, urlsplit

from pydantic import BaseModel, Secret, SecretStr

SHORTEST = 6
"""Shorter texts are no secrets worth the name, and would be found in the middle of words."""


def secrets_of(settings: BaseModel) -> list[str]:
    """Return the secret texts of the settings, the longest first: passwords and keys, and those within URLs."""
    found = {text for text in _texts(settings) if len(text) >= SHORTEST}
    return sorted(found, key=len, reverse=True)


def _texts(value: Any, secret: bool = False) -> Iterator[str]:
    if isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _texts(getattr(value, name), secret)
    elif isinstance(value, SecretStr | Secret):
        yield from _texts(value.get_secret_value(), True)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _texts(item, secret)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item, secret)
    elif isinstance(value, str) and secret:
        yield from _of_text(value)


def _of_text(text: str) -> Iterator[str]:
    """Give a secret text; of a URL its password alone: where a broker is may be told."""
    if "://" not in text:
        yield text
        return
    try:
        password = urlsplit(text).password
    except ValueError:  # no URL after all
        yield text
        return
    if password:
        yield from {password, unquote(password)}
