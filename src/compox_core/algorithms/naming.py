"""What an algorithm may be called."""

from __future__ import annotations

import re
import unicodedata

from compox_core.errors import PackageError

MAX_NAME = 128
# Letters and marks that show as nothing, so that two names would look alike (Unicode: Default_Ignorable_Code_Point).
INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]")


def check_name(name: str, where: str = "The algorithm's name") -> str:
    """Return `name` in Unicode normal form C.

    A name has 1 to 128 letters or digits of any script, `.`, `_` and `-`; it is not `.` or `..`. Names that differ
    by case only are the same algorithm. Raises PackageError (`invalid_algorithm_name`).
    """
    normal = unicodedata.normalize("NFC", name)
    problem = _problem(normal)
    if problem:
        shown = normal if len(normal) <= 60 else normal[:57] + "…"
        raise PackageError(
            f"{where} {shown!r} cannot be used: {problem}. Use 1 to {MAX_NAME} letters, digits, '.', '_' and '-'.",
            code="invalid_algorithm_name",
            details={"name": shown},
        )
    return normal


def _problem(name: str) -> str | None:
    if not name:
        return "it is empty"
    if len(name) > MAX_NAME:
        return f"it has {len(name)} characters"
    if name in (".", ".."):
        return "it means a folder"
    if unicodedata.category(name[0])[0] == "M":
        return "it begins with a mark that belongs to a letter before it"
    for character in name:
        kind = unicodedata.category(character)
        if not (character in "._-" or kind[0] in "LM" or kind == "Nd") or INVISIBLE.match(character):
            return f"it contains {unicodedata.name(character, ascii(character)).lower()}"
    return None
