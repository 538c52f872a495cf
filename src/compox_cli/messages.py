"""What the core logs, shown to the person at the terminal."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from compox_cli.screen import Screen

LOGGERS = ("compox", "compox_core")


@contextmanager
def shown_messages(screen: Screen) -> Iterator[None]:
    """Show warnings of the core as lines on stderr; with `--verbose` also what tasks log while they run."""
    handler = _ScreenHandler(screen)
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG if screen.verbose else logging.WARNING)
        logger.propagate = False
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.removeHandler(handler)
            logger.setLevel(level)
            logger.propagate = propagate


class _ScreenHandler(logging.Handler):
    """Messages without tracebacks: how a task failed is reported as the command's own error."""

    def __init__(self, screen: Screen) -> None:
        super().__init__()
        self._screen = screen

    def emit(self, record: logging.LogRecord) -> None:
        """Show one message."""
        if record.name.startswith("compox_core.jobs"):
            return
        show = self._screen.warn if record.levelno >= logging.WARNING else self._screen.note
        show(_text(record))


def _text(record: logging.LogRecord) -> str:
    """Return the message; the id of the task in it says nothing where there is one task."""
    if record.name == "compox.task" and isinstance(record.args, tuple) and len(record.args) == 3:
        return f"{record.args[1]}: {record.args[2]}"
    return record.getMessage()
