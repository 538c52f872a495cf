"""Settings from a mapping or a YAML file, with errors that name every wrong key at once."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from compox_core.errors import SettingsError
from compox_core.settings.environment import read_environment
from compox_core.settings.issues import Issue, issues_of, kind_of
from compox_core.settings.keys import known_keys
from compox_core.settings.models import Settings
from compox_core.settings.secret_files import with_secrets
from compox_core.settings.source import Source, merged

MERGE = "tag:yaml.org,2002:merge"


def load_settings(
    source: Mapping[str, Any] | Path | str | None = None,
    *,
    overrides: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Settings:
    """Return the settings that a mapping or a YAML file, a command line and the environment make together.

    Nested key by nested key, `overrides` win over `source`, that over `environment`, and that over the defaults. A
    secret whose text is `FILE:` and a path is read from that file.

    Args:
        source: A mapping of keys, or the path of a YAML file.
        overrides: Nested keys of a command line, as `parse_dotted` returns them.
        environment: Variables of which those that begin with `COMPOX_` are read: `os.environ`. Without it none are.

    Raises:
        SettingsError: when a file cannot be read, or a key or value is wrong. `details["issues"]` lists each as
            text: the dotted key, the rule, the kind of value that was given, the nearest known name, and where it came
            from, if from several places. Texts that were given are not repeated, because any of them may be a secret.
    """
    variables, issues = read_environment(environment or {})
    where, given = "The settings", Source()
    if isinstance(source, Mapping):
        given = Source(source, {"": "the settings in the program"})
    elif source is not None:
        path = Path(source)
        given = Source(_read_yaml(path), {"": f"configuration file '{path}'"})
        where = f"The configuration file '{path}'"
    options = Source(overrides or {}, _option_origins(overrides or {}, ""))
    sources = [variables, given, options]
    alone = not (variables.values or issues or options.values)
    return _validated(sources, issues, where if alone else "The settings", name_origins=not alone)


def _option_origins(values: Mapping[Any, Any], prefix: str) -> dict[str, str]:
    found = {}
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            found.update(_option_origins(value, f"{prefix}{name}."))
        else:
            found[f"{prefix}{name}"] = f"option --{prefix}{name}"
    return found


def _validated(sources: Sequence[Source], issues: list[Issue], where: str, *, name_origins: bool) -> Settings:
    values, unread = with_secrets(merged(sources))
    found = list(unread)
    settings: Settings | None = None
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        found += issues_of(error, Settings)
    if settings is not None and not (found or issues):
        return settings
    texts = [*map(str, issues), *(f"{issue}{_origin(issue, sources) if name_origins else ''}" for issue in found)]
    raise SettingsError(
        f"{where} cannot be used:\n" + "\n".join(f"  {text}" for text in texts), details={"issues": texts}
    ) from None  # no cause: pydantic's text would show the values, which may be secrets


def _origin(issue: Issue, sources: Sequence[Source]) -> str:
    origins = [origin for source in reversed(sources) if (origin := source.origin(issue.key))]
    if issue.key in known_keys() and known_keys()[issue.key].section:  # each of them may have had a part in it
        return f" ({'; '.join(origins)})" if origins else ""
    return f" ({origins[0]})" if origins else ""


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
