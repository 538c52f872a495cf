"""How worker processes are started."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Secret, SecretStr

from compox_core.jobs.processes.marks import VARIABLE, Mark
from compox_core.settings import Settings
from compox_core.tasks.presence import Holder


@dataclass(frozen=True)
class Launch:
    """What all workers of an executor have in common.

    Args:
        settings: What the worker's store and limits are made from.
        holder: The process that starts them.
        url: A store in place of that of the settings.
        environment: Variables that workers have beside those of this process.
        program: What Python is to run; for tests.
    """

    settings: Settings
    holder: Holder
    url: str | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    program: tuple[str, ...] = ("-m", "compox_core.jobs.processes.child")

    def command(self) -> list[str]:
        """Return the command line. A file in the working directory never stands for a library (`-P`)."""
        return [sys.executable, "-P", *self.program]

    def start(self, mark: Mark) -> subprocess.Popen[bytes]:
        """Start a worker. Raises OSError."""
        return subprocess.Popen(
            self.command(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            env={**os.environ, **self.environment, VARIABLE: str(mark)},
            **_apart(),
        )

    def path(self) -> list[str]:
        """Return where modules are found here; what a notebook has added counts for its workers too."""
        return [entry or str(Path.cwd()) for entry in sys.path]

    def revealed(self) -> dict[str, Any]:
        """Return the settings as JSON holds them, with their secrets."""
        return _revealed(self.settings)  # type: ignore[no-any-return]


def _apart() -> dict[str, Any]:
    """Return how a process is started that no Ctrl-C at this one's terminal reaches."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _revealed(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return {name: _revealed(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, Secret | SecretStr):
        return _revealed(value.get_secret_value())
    if isinstance(value, Mapping):
        return {key: _revealed(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_revealed(item) for item in value]
    return value
