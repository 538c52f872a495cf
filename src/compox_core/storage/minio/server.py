"""The process of a MinIO that was started here."""

from __future__ import annotations

import json
import logging
import secrets
import subprocess
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any

import psutil
from pydantic import SecretStr

from compox_core.errors import StorageError
from compox_core.settings import Settings
from compox_core.storage.minio.probe import Answer, ask

logger = logging.getLogger("compox_core.minio")

START_SECONDS = 60.0
END_SECONDS = 10.0
PAUSE_SECONDS = 0.05
LAST_LINES = 20
LINE_BYTES = 16_384


class MinioServer:
    """MinIO as a process beside this one; it ends with this one, however that ends.

    A process between the two sees to that, since a program that is killed cannot clean up. Keys that the settings leave
    out are made up anew for each start: MinIO reads its data under any.

    Args:
        settings: Their keys become those of the server.
        command: The program and its arguments.
        endpoint: Where it will answer.
    """

    def __init__(self, settings: Settings, command: list[str], endpoint: str) -> None:
        self.settings = _with_keys(settings)
        self._command = command
        self._endpoint = endpoint
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None

    def start(self) -> None:
        """Start it, and return when it answers. Raises StorageError (`minio_failed`) where it does not."""
        storage = self.settings.storage
        assert storage.access_key_id is not None and storage.secret_access_key is not None
        environment = {
            "MINIO_ROOT_USER": storage.access_key_id.get_secret_value(),
            "MINIO_ROOT_PASSWORD": storage.secret_access_key.get_secret_value(),
        }
        try:
            self._launch(environment)
            self._await_answer()
        except OSError as error:
            self.close()
            if isinstance(error, StorageError):
                raise
            raise self._failed(f"cannot be started: {error}") from error
        except BaseException:
            self.close()
            raise

    def _launch(self, environment: dict[str, str]) -> None:
        process = subprocess.Popen(
            [sys.executable, "-I", str(Path(__file__).with_name("guard.py"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            bufsize=0,
            **_apart(),
        )
        self._process = process
        self._reader = threading.Thread(
            target=self._drain, args=(process, list(environment.values())), name="compox-minio", daemon=True
        )
        self._reader.start()
        order = {"command": self._command, "environment": environment, "seconds": END_SECONDS}
        assert process.stdin is not None
        # By the pipe: what stands on a command line, every user of the machine can read.
        process.stdin.write(json.dumps(order).encode() + b"\n")

    def _await_answer(self) -> None:
        assert self._process is not None and self._reader is not None
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            status = self._process.poll()
            if status is not None:
                self._reader.join(END_SECONDS)  # for its last words
                raise self._failed(f"ended with exit status {status} before it answered at {self._endpoint}")
            if ask(self._endpoint) is Answer.S3:
                self._ready = True
                logger.info("MinIO answers at %s.", self._endpoint)
                return
            time.sleep(PAUSE_SECONDS)
        raise self._failed(f"does not answer at {self._endpoint} within {START_SECONDS:g} s")

    def _failed(self, what: str) -> StorageError:
        words = "\n".join(f"  {line}" for line in self._last) or "  (nothing)"
        return StorageError(
            f"The MinIO {self._command[0]} {what} (storage.backend_settings). Its last words:\n{words}",
            code="minio_failed",
            details={"command": self._command, "endpoint": self._endpoint, "output": list(self._last)},
        )

    def close(self) -> None:
        """End it: it is asked to, and killed with what it started where it does not."""
        process, self._process = self._process, None
        if process is None:
            return
        self._ready = False
        assert process.stdin is not None and process.stdout is not None and self._reader is not None
        process.stdin.close()
        try:
            process.wait(END_SECONDS * 1.5)
        except subprocess.TimeoutExpired:
            _kill_tree(process)
        self._reader.join(END_SECONDS)
        if not self._reader.is_alive():
            process.stdout.close()

    def _drain(self, process: subprocess.Popen[bytes], hidden: list[str]) -> None:
        """Log what it says, or it would stand still when the pipe is full."""
        assert process.stdout is not None
        with open(process.stdout.fileno(), "rb", closefd=False) as lines:
            while line := lines.readline(LINE_BYTES):
                text = line.decode("utf-8", "replace").rstrip()
                for secret in hidden:
                    text = text.replace(secret, "***")
                if text:
                    self._last.append(text)
                    failing = any(word in text for word in ("ERROR", "FATAL"))
                    logger.log(logging.ERROR if failing else logging.INFO, "%s", text)
        status = process.wait()
        if self._ready:
            logger.error("MinIO ended with exit status %s: the store is away until this server is restarted.", status)


def _with_keys(settings: Settings) -> Settings:
    storage = settings.storage
    keys = {
        "access_key_id": storage.access_key_id or SecretStr(secrets.token_hex(10)),
        "secret_access_key": storage.secret_access_key or SecretStr(secrets.token_hex(20)),
    }
    return settings.model_copy(update={"storage": storage.model_copy(update=keys)})


def _apart() -> dict[str, Any]:
    """Return how a process is started that no Ctrl-C at this one's terminal reaches."""
    if sys.platform == "win32":
        return {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP | subprocess.CREATE_NO_WINDOW}
    return {"start_new_session": True}


def _kill_tree(process: subprocess.Popen[bytes]) -> None:
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.Error:
        children = []
    process.kill()
    for child in children:
        try:
            child.kill()
        except psutil.Error:  # ended meanwhile
            continue
    process.wait()
