"""Settings on a command line: `--storage.fsync true`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compox_core.errors import SettingsError
from compox_core.settings.environment import nested
from compox_core.settings.issues import Issue
from compox_core.settings.keys import known_keys, nearest_key
from compox_core.settings.source import Source, merged
from compox_core.settings.texts import takes_flag, value_of


def parse_dotted(arguments: Sequence[str]) -> dict[str, Any]:
    """Return the nested settings of `--a.b value` and `--a.b=value`, for `load_settings(…, overrides=…)`.

    A truth value may be left out where nothing or another option follows: `--insecure` is true. Of an option that
    stands there twice the last one counts.

    Raises:
        SettingsError: `unknown_option` for what is no option of a setting, with the nearest that is;
            `configuration_error` for one without a value. `details["issues"]` lists all of them as text.
    """
    values: dict[Any, Any] = {}
    issues: list[Issue] = []
    known = True
    words = list(arguments)
    while words:
        word = words.pop(0)
        name, equals, text = word.removeprefix("--").partition("=")
        key = known_keys().get(name) if word.startswith("--") else None
        if key is None:
            known = False
            issues.append(_unknown(word, len(arguments) - len(words)))
            if not equals and word.startswith("--") and words and not words[0].startswith("--"):
                words.pop(0)  # its value
            continue
        if not equals and words and not words[0].startswith("--"):
            text = words.pop(0)
        elif not equals and takes_flag(key):
            text = "true"
        elif not equals:
            issues.append(Issue(f"--{name}", f"needs a value: --{name} VALUE"))
            continue
        try:
            value = value_of(text, key)
        except ValueError as error:
            issues.append(Issue(f"--{name}", str(error)))
        else:
            values = merged([Source(values), Source(nested(name, value))])
    if issues:
        raise _unusable(issues, "configuration_error" if known else "unknown_option")
    return values


def _unknown(word: str, place: int) -> Issue:
    if not word.startswith("--") or word == "--":  # not shown, as it may be a secret in the wrong place
        return Issue(f"word {place}", "is no option: a setting is written --section.key VALUE")
    name = word[2:].partition("=")[0]
    near = nearest_key(name)
    return Issue(f"--{name}", "there is no such option" + (f"; did you mean --{near}?" if near else ""))


def _unusable(issues: list[Issue], code: str) -> SettingsError:
    texts = [str(issue) for issue in issues]
    return SettingsError(
        "The options cannot be used:\n" + "\n".join(f"  {text}" for text in texts), code=code, details={"issues": texts}
    )
