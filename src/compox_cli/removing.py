"""Removing several things by their ids: what cannot be removed is told, and does not keep the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compox_cli import describe
from compox_cli.asking import be_sure
from compox_cli.group import FAILED, Reporting, fail
from compox_cli.screen import Screen
from compox_core.errors import CompoxError


def remove_each(
    ids: Sequence[str], noun: str, delete: Callable[[str], None], reporting: Reporting, screen: Screen, *, yes: bool
) -> int:
    """Ask, unless `yes`, remove each thing once, say what was done, and return the exit code."""
    if not yes:
        be_sure(f"Remove {describe.count(len(ids), noun)}?", screen)
    removed, failed = [], []
    for each in dict.fromkeys(ids):
        try:
            delete(each)
        except CompoxError as error:
            failed.append({f"{noun}_id": each, **fail(reporting, error)})
        else:
            removed.append(each)
    if screen.as_json:
        screen.answer({"removed": removed, "failed": failed})
    elif removed:
        screen.line(f"Removed {describe.count(len(removed), noun)}.")
    return FAILED if failed else 0
