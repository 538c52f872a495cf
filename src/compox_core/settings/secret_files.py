"""Secrets that stand in files of their own: `secret_access_key: FILE:/run/secrets/key`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from compox_core.settings.issues import Issue
from compox_core.settings.keys import known_keys

PREFIX = "FILE:"
MOST_BYTES = 65_536


def with_secrets(values: Mapping[Any, Any]) -> tuple[dict[Any, Any], list[Issue]]:
    """Return the settings with the content of each file in its place, and which files have no secret in them."""
    issues: list[Issue] = []
    return _filled(values, "", issues), issues


def _filled(values: Mapping[Any, Any], prefix: str, issues: list[Issue]) -> dict[Any, Any]:
    found = dict(values)
    for name, value in values.items():
        key = known_keys().get(f"{prefix}{name}")
        if key is None:
            continue
        if key.section and isinstance(value, Mapping):
            found[name] = _filled(value, f"{key.name}.", issues)
        elif key.secret and isinstance(value, Mapping):
            found[name] = {inner: _content(f"{key.name}.{inner}", each, issues) for inner, each in value.items()}
        elif key.secret:
            found[name] = _content(key.name, value, issues)
    return found


def _content(key: str, value: Any, issues: list[Issue]) -> Any:
    if not isinstance(value, str) or not value.startswith(PREFIX):
        return value
    path = value.removeprefix(PREFIX)
    try:
        return _read(path)
    except ValueError as error:
        issues.append(Issue(key, f"the file '{path}' cannot be used: {error}"))
        return ""  # the rest is judged all the same


def _read(text: str) -> str:
    """Return the secret in a file, without the ends of its last line. Raises ValueError, without the content."""
    if not text.strip() or "\0" in text:
        raise ValueError("that is no path")
    try:
        with Path(text).expanduser().open("rb") as file:
            content = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(error.strerror or type(error).__name__) from None
    except RuntimeError:  # `~nobody`
        raise ValueError("there is no such home directory") from None
    if len(content) > MOST_BYTES:
        raise ValueError(f"it has more than {MOST_BYTES} bytes")
    try:
        secret = content.decode("utf-8-sig").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8 text") from None
    if not secret.strip():
        raise ValueError("it is empty")
    return secret
