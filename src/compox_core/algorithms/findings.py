"""What is wrong and what is doubtful in a file that an author wrote."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

WORDS = {str: "a string", bool: "true or false", list: "a list", dict: "a table"}


@dataclass
class Findings:
    """Collects everything at once: `issues` forbid a deploy, `warnings` do not. Each begins with its dotted place."""

    issues: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def typed(self, value: Any, kind: type, place: str, default: Any) -> Any:
        """Return `value` if it is of that type; else note an issue and return the default."""
        if isinstance(value, kind):
            return value
        self.issues.append(f"{place} must be {WORDS[kind]}, not {short(value)}")
        return default

    def strings(self, value: Any, place: str) -> list[str]:
        """Return `value` if it is a list of strings; else note an issue and return an empty list."""
        items = self.typed(value, list, place, [])
        wrong = [item for item in items if not isinstance(item, str)]
        if wrong:
            self.issues.append(f"{place} must hold strings, not {short(wrong[0])}")
            return []
        return list(items)

    def choice(self, value: Any, known: Sequence[str], place: str) -> bool:
        """Return whether `value` is one of the known ones; else note an issue with the nearest."""
        if isinstance(value, str) and value in known:
            return True
        self.issues.append(f"{place} {short(value)} is unknown{nearest(value, known)}")
        return False

    def warn(self, warning: str) -> None:
        """Note a warning, as a sentence."""
        self.warnings.append(warning if warning.endswith("?") else f"{warning}.")

    def note_unknown(self, table: Mapping[str, Any], known: Sequence[str], place: str) -> None:
        """Warn of keys that mean nothing here."""
        for key in table:
            if key not in known:
                self.warn(f"{place}.{key} is unknown and ignored{nearest(key, known)}")


def nearest(word: Any, known: Iterable[str]) -> str:
    """Suggest the known name that is most like `word`, else tell them all; to be put behind a sentence."""
    known = list(known)
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.6) if isinstance(word, str) else []
    return f"; did you mean '{close[0]}'?" if close else f"; known are {', '.join(known)}"


def short(value: Any) -> str:
    """Return how Python writes `value`, cut where that is long."""
    try:
        return _SHORT.repr(value)
    except ValueError:  # Python refuses to write whole numbers of thousands of digits
        return "a huge number"


_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = 80
