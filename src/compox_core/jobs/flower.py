"""Flower, a web page about the workers of a broker, as a process beside one of them.

It listens on this machine only, as nobody has to log in there. `FLOWER_…` variables and a `flowerconfig.py` in the
working directory are read as Flower's manual says.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from typing import Any, Self

from compox_core.jobs.celery import make_app
from compox_core.settings import load_settings
from compox_core.settings.models import CeleryExecutor as CelerySettings
from compox_core.settings.models import Settings

logger = logging.getLogger(__name__)

PORT = 5555
END_SECONDS = 5.0


class Flower:
    """The process; it ends with this one, however that ends."""

    def __init__(self, backend: CelerySettings) -> None:
        self._backend = backend
        self._closing = False
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return PORT if self._backend.flower_port is None else self._backend.flower_port

    def __enter__(self) -> Self:
        detached: dict[str, Any] = {"start_new_session": True}  # Ctrl-C is for the worker, which then ends Flower
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, **detached
        )
        assert self._process.stdin is not None
        # By the pipe: what stands on a command line, every user of the machine can read.
        given = {"broker_url": self._backend.broker_url.get_secret_value(), "port": self.port}
        self._process.stdin.write(json.dumps(given).encode() + b"\n")
        self._process.stdin.flush()
        threading.Thread(target=self._watch, args=(self._process,), name="compox-flower", daemon=True).start()
        return self

    def _watch(self, process: subprocess.Popen[bytes]) -> None:
        status = process.wait()
        if not self._closing:
            logger.error(
                "Flower ended with exit status %s; jobs go on without it. Is port %s in use (flower_port)?",
                status,
                self.port,
            )

    def __exit__(self, *_: object) -> None:
        self._closing = True
        assert self._process is not None and self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


def main() -> None:
    """Be the process."""
    given = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    backend = {"executor": "celery", "broker_url": given["broker_url"], "result_backend": "disabled://"}
    settings: Settings = load_settings({"inference": {"backend_settings": backend}})
    make_app(settings).start(["flower", "--address=127.0.0.1", f"--port={given['port']}", "--logging=warning"])


def _end_with_parent() -> None:
    sys.stdin.buffer.read()
    os._exit(0)


if __name__ == "__main__":
    main()
