"""What the host remembers of a runner instance: the phase it is in, and which attributes are shared assets.

One loaded instance holds the assets. Each run gets a new instance that starts with those assets and is otherwise its
own. A hook that was captured while loading (a forward hook of a model, say) still holds the loaded instance; what it
writes or misses there is passed to the run that goes on.
"""

from __future__ import annotations

import threading
from enum import Enum
from typing import TYPE_CHECKING, Any

from compox_core.errors import StateError
from compox_core.runners.context import Handler, current_run

if TYPE_CHECKING:
    from compox_core.runners.base import BaseRunner


class Phase(Enum):
    """Where an instance is in its life."""

    CONSTRUCTING = "constructing"
    LOADING = "loading"
    LOADED = "loaded"
    RUNNING = "running"


class ActiveRuns:
    """The runs of one loaded runner that go on now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[BaseRunner] = []

    def add(self, run: BaseRunner) -> None:
        """Note that a run has begun."""
        with self._lock:
            self._runs.append(run)

    def discard(self, run: BaseRunner) -> None:
        """Note that a run has ended."""
        with self._lock:
            self._runs = [other for other in self._runs if other is not run]

    def __len__(self) -> int:
        return len(self._runs)

    def current(self) -> BaseRunner | None:
        """Return the run of this context, or the only one there is; None when that is not clear."""
        run = current_run.get()
        with self._lock:
            if run is not None and any(run is other for other in self._runs):
                return run
            return self._runs[0] if len(self._runs) == 1 else None


class RunnerState:
    """The host's notes on one instance; lives in the instance's `__dict__` under `_compox`."""

    __slots__ = ("active", "assets", "device", "handler", "phase")

    def __init__(self, phase: Phase, active: ActiveRuns, device: str, handler: Handler | None) -> None:
        self.phase = phase
        self.active = active
        self.device = device
        self.handler = handler
        self.assets: frozenset[str] = frozenset()

    def forward_to(self) -> BaseRunner | None:
        """Return the run that a loaded instance stands for just now; None for any other instance."""
        return self.active.current() if self.phase is Phase.LOADED else None

    def admits(self, runner: BaseRunner, name: str, value: Any) -> bool:
        """Say whether `runner.name = value` is to be done on that instance.

        False means that it is dealt with: forwarded to the run, or dropped because a constructor's placeholder does
        not wipe a loaded asset. Raises AttributeError for an asset that a run would overwrite.
        """
        if self.phase is Phase.LOADING:
            self.assets |= {name}
            return True
        if name in self.assets:
            if self.phase is Phase.CONSTRUCTING:
                return False
            raise AttributeError(
                f"'{name}' was set by load_assets and is shared by all runs: it cannot be set again. "
                "Use another name for what belongs to one run."
            )
        if self.phase is not Phase.LOADED:
            return True
        run = self.active.current()
        if run is None:
            raise StateError(
                f"'{name}' was set on the loaded {type(runner).__name__} outside any run, or in a thread of which it "
                "is not clear to which of several runs it belongs. Start the thread with "
                "`contextvars.copy_context().run`.",
                code="runner_not_running",
            )
        setattr(run, name, value)
        return False
