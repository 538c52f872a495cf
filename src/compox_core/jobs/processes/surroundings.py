"""What belongs to a worker process as a whole, and not to the job that changes it."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform == "win32":
    SIGNALS: tuple[signal.Signals, ...] = (signal.SIGINT, signal.SIGTERM)
else:
    # Those that the rungs of a stop need, and those whose default ends the process. Not SIGCHLD, for which torch sets
    # a handler once and for all, nor those of crashes, which belong to faulthandler.
    SIGNALS = (
        *(signal.SIGINT, signal.SIGTERM, signal.SIGUSR1),
        *(signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF, signal.SIGPIPE),
    )


class Surroundings:
    """Signal handlers, signal mask, timers, working directory and umask, as they are when this is made."""

    def __init__(self) -> None:
        self._handlers = {number: signal.getsignal(number) for number in SIGNALS}
        self._umask = os.umask(0o077)
        os.umask(self._umask)
        self._folder: str | None = None
        with suppress(OSError):  # it may have been removed
            self._folder = str(Path.cwd())
        if sys.platform != "win32":
            self._mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())

    def restore(self) -> None:
        """Make them so again; in the main thread."""
        if sys.platform != "win32":
            for timer in (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF):
                signal.setitimer(timer, 0)
            for number in (signal.SIGALRM, signal.SIGVTALRM, signal.SIGPROF):
                signal.signal(number, signal.SIG_IGN)  # one that a mask has kept back is dropped by this
            signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        for number, handler in self._handlers.items():
            if handler is not None:  # None: it is not Python's
                signal.signal(number, handler)
        os.umask(self._umask)
        if self._folder is not None:
            with suppress(OSError):
                os.chdir(self._folder)
