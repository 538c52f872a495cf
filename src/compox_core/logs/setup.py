"""How a program that serves or works is made to log."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from compox_core.settings import Settings


class Logs:
    """The log of this program as long as it is open; as a context manager, closed at the end."""

    def close(self) -> None:
        """Write what is still to be written, and put `logging` back to what it was."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()


def configure_logging(settings: Settings, *, console: bool = True, name: str | None = None) -> Logs:
    """Send all log lines of this program to stderr and to the log file of the settings.

    Args:
        settings: Levels, format, and where the file is.
        console: Whether lines go to stderr as well.
        name: What the file's name is to tell this program by: `compox.log` becomes `compox-NAME.log`.
    """
    return Logs()
