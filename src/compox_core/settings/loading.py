"""Settings from a mapping or a YAML file, with errors that name every wrong key at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from compox_core.errors import SettingsError
from compox_core.settings.issues import issues_of, kind_of
from compox_core.settings.models import Settings

MERGE = "tag:yaml.org,2002:merge"


def load_settings(
    source: Mapping[str, Any] | Path | str | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings of a mapping or a YAML file; what is not named has its default.

    Args:
        source: A mapping of keys, or the path of a YAML file.
        overrides: Keys that win over the source, as `parse_dotted` returns them from a command line.
        environment: Variables whose names begin with `COMPOX_`, over which the source wins: `os.environ`; None reads
            none.

    Raises:
        SettingsError: when the file cannot be read, or a key or value is wrong. `details["issues"]` lists each as
            text: the dotted key, the rule, the kind of value that was given, the nearest known name. Texts that were
            given are not repeated, because any of them may be a secret.
    """
    if overrides:
        return load_settings(
            {**(source if isinstance(source, Mapping) else _read_yaml(Path(source)) if source else {}), **overrides}
        )
    if source is None:
        return Settings()
    if isinstance(source, Mapping):
        return _validated(dict(source), "The settings")
    path = Path(source)
    return _validated(_read_yaml(path), f"The configuration file '{path}'")


def _validated(values: dict[str, Any], where: str) -> Settings:
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        issues = issues_of(error, Settings)
        raise SettingsError(
            f"{where} cannot be used:\n" + "\n".join(f"  {issue}" for issue in issues), details={"issues": issues}
        ) from None  # pydantic's text would show the values, which may be secrets


class _Loader(yaml.SafeLoader):
    """Safe YAML in which a key may stand once only."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Return the mapping of a node. Raises for a repeated key, which YAML would silently overwrite."""
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            if key_node.tag == MERGE:
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                raise yaml.constructor.ConstructorError(None, None, "a key must be a text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' stands there twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8-sig")
        # A subclass of SafeLoader, so nothing but plain values can come of it.
        values = yaml.load(text, Loader=_Loader)
    except FileNotFoundError:
        raise _unreadable(path, "it does not exist") from None
    except IsADirectoryError:
        raise _unreadable(path, "it is a folder; name the YAML file") from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is not UTF-8 text (byte {error.start})") from None
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from error
    except yaml.YAMLError as error:
        raise _unreadable(path, f"it is not valid YAML{_problem(error)}") from None  # the cause quotes the file
    except (ValueError, RecursionError) as error:  # an impossible date; brackets in brackets without end
        raise _unreadable(path, f"it is not valid YAML ({error})") from None
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise _unreadable(path, f"it must hold keys with values at its top, not {kind_of(values)}")
    return values


def _problem(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = getattr(error, "problem", None) or getattr(error, "reason", None)
    return f"{place}: {problem}" if problem else place


def _unreadable(path: Path, why: str) -> SettingsError:
    return SettingsError(f"The configuration file '{path}' cannot be read: {why}.", details={"path": str(path)})
