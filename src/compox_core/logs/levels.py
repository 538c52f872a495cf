"""The levels of a log line that the settings know, and which names mean our own loggers."""

from __future__ import annotations

import logging

TRACE = 5
SUCCESS = 25

OURS = ("compox", "compox_core", "compox_http", "compox_cli")
"""Our own loggers. What libraries say below INFO is of no use to an operator, and may show what they send."""


def name_levels() -> None:
    """Give `logging` the names of the two levels that it does not know."""
    logging.addLevelName(TRACE, "TRACE")
    logging.addLevelName(SUCCESS, "SUCCESS")


def level_of(name: str) -> int:
    """Return the number of a level of the settings."""
    known = {"TRACE": TRACE, "SUCCESS": SUCCESS}
    return known.get(name) or logging.getLevelNamesMapping()[name]
