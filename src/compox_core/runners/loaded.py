"""From a Runner class to runs of it."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from compox_core.errors import AlgorithmError
from compox_core.runners.base import BaseRunner
from compox_core.runners.context import Handler, current_handler, current_run, current_runner_context
from compox_core.runners.state import ActiveRuns, Phase, RunnerState


class LoadedRunner:
    """A Runner class whose assets are loaded for one device; several threads may run it at a time.

    It lives in the runner cache, longer than any run. `clock` tells the seconds by which its idle time is measured.
    """

    def __init__(self, cls: type[BaseRunner], device: str, clock: Callable[[], float] = time.monotonic) -> None:
        self.cls = cls
        self.device = device
        self._clock = clock
        self._used = clock()
        self._active = ActiveRuns()
        self._instance: BaseRunner | None = None
        self._assets: dict[str, Any] = {}

    def load(self, handler: Handler) -> None:
        """Construct the class and call `load_assets`, within the task that needed it first."""
        instance, state = self._construct(handler, {})
        before = dict(instance.__dict__)
        state.phase, state.assets = Phase.LOADING, frozenset()
        with _inside(handler, instance):
            instance.load_assets()
        changed = {
            name
            for name, value in instance.__dict__.items()
            if name != "_compox" and (name not in before or before[name] is not value)
        }
        names = (state.assets | changed) & instance.__dict__.keys()
        self._assets = {name: instance.__dict__[name] for name in names}
        for name in set(instance.__dict__) - names - {"_compox"}:
            # What the constructor set belongs to runs: the loaded instance must not answer for it.
            del instance.__dict__[name]
        state.assets, state.phase, state.handler = frozenset(names), Phase.LOADED, None
        self._instance = instance
        self._used = self._clock()

    def idle_seconds(self) -> float:
        """Return for how long no run has used it; 0 while one does."""
        return self._clock() - self._used if len(self._active) == 0 else 0.0

    @contextmanager
    def run(self, handler: Handler) -> Iterator[BaseRunner]:
        """Give a new instance for one run of the task `handler`."""
        instance, _ = self._construct(handler, self._assets)
        self._active.add(instance)
        try:
            with _inside(handler, instance):
                yield instance
        finally:
            self._used = self._clock()
            self._active.discard(instance)

    def _construct(self, handler: Handler, assets: dict[str, Any]) -> tuple[BaseRunner, RunnerState]:
        instance = self.cls.__new__(self.cls)
        state = RunnerState(Phase.CONSTRUCTING, self._active, self.device, handler)
        state.assets = frozenset(assets)
        instance.__dict__.update(assets, _compox=state)
        with _inside(handler, instance):
            arguments = constructor_arguments(self.cls, handler, self.device)
            self.cls.__init__(instance, **arguments)
        state.phase = Phase.RUNNING
        return instance, state


def constructor_arguments(cls: type[BaseRunner], handler: Any, device: str) -> dict[str, Any]:
    """Return what `__init__` of an algorithm's Runner is called with.

    `task_handler` and `device` are passed where the author names them; everything else must have a default. Raises
    AlgorithmError (`runner_constructor_unsupported`) otherwise.
    """
    offered = {"task_handler": handler, "device": device}
    arguments: dict[str, Any] = {}
    unknown: list[str] = []
    for name, parameter in list(inspect.signature(cls.__init__).parameters.items())[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        if name in offered:
            arguments[name] = offered[name]
        elif parameter.default is parameter.empty:
            unknown.append(name)
    if unknown:
        raise AlgorithmError(
            f"Runner.__init__ asks for {', '.join(unknown)}, which nobody can give: it may take no parameters, "
            "`task_handler` and `device`, or parameters with defaults.",
            code="runner_constructor_unsupported",
            details={"parameters": unknown},
        )
    return arguments


@contextmanager
def _inside(handler: Handler, instance: BaseRunner) -> Iterator[None]:
    """Make the task and the instance those of the present context."""
    tokens = (
        (current_handler, current_handler.set(handler)),
        (current_run, current_run.set(instance)),
        (current_runner_context, current_runner_context.set(instance.__dict__)),
    )
    try:
        yield
    finally:
        for variable, token in reversed(tokens):
            variable.reset(token)
