"""Message brokers that tests start, break and start again: a Redis and a RabbitMQ of their own, on free ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path

import psutil
import pytest

START_SECONDS = 120.0
DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")  # the one in PATH changes the user first


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class Broker(ABC):
    """A broker of a test's own."""

    program: str

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.port = free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where Celery finds it."""

    @abstractmethod
    def _command(self) -> tuple[list[str], dict[str, str]]:
        """Return what starts it, and the environment for that."""

    @abstractmethod
    def _answers(self, connection: socket.socket) -> bool:
        """Return whether a connection is answered as by a broker that is up."""

    def start(self) -> None:
        """Start it and wait until it answers; what it kept on disk is there again."""
        command, environment = self._command()
        with (self.folder / "output.log").open("ab") as output:
            self._process = subprocess.Popen(
                command, env={**os.environ, **environment}, stdout=output, stderr=output, start_new_session=True
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._is_up():
            assert self._process.poll() is None and time.monotonic() < deadline, self._said()
            time.sleep(0.1)

    def _is_up(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as connection:
                connection.settimeout(5)
                return self._answers(connection)
        except OSError:
            return False

    def _said(self) -> str:
        return (self.folder / "output.log").read_text("utf-8", "replace")[-4000:]

    def kill(self) -> None:
        """End it as a power cut would."""
        if self._process is None:
            return
        family = [self._process.pid, *(child.pid for child in psutil.Process(self._process.pid).children(True))]
        for pid in family:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        self._process.wait()
        self._process = None
        while self._is_up():
            time.sleep(0.05)


class Redis(Broker):
    """Keeps nothing on disk: what it held is gone when it is killed."""

    program = "redis-server"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/3"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        options = ["--bind", "127.0.0.1", "--port", str(self.port), "--save", "", "--dir", str(self.folder)]
        return ["redis-server", *options], {}

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"PING\r\n")
        return connection.recv(16).startswith(b"+PONG")


class RabbitMQ(Broker):
    """Keeps durable queues and persistent messages on disk."""

    program = "rabbitmq-server"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._distribution = free_port()

    @property
    def url(self) -> str:
        return f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def _command(self) -> tuple[list[str], dict[str, str]]:
        environment = {
            "RABBITMQ_NODENAME": f"compox{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self.folder / "none"),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "RABBITMQ_LOGS": "-",
            "HOME": str(self.folder),  # of the cookie by which its own processes know each other
        }
        return [str(DEBIAN) if DEBIAN.exists() else self.program], environment

    def _answers(self, connection: socket.socket) -> bool:
        connection.sendall(b"AMQP\x00\x00\x09\x01")
        return connection.recv(1) == b"\x01"


BROKERS: dict[str, type[Broker]] = {"redis": Redis, "rabbitmq": RabbitMQ}


def started(name: str, folder: Path) -> Broker:
    """Start a broker, or skip where its program is not installed; in CI that fails."""
    kind = BROKERS[name]
    if shutil.which(kind.program) is None and not (name == "rabbitmq" and DEBIAN.exists()):
        reason = f"{kind.program} is not installed"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}, and CI is set: .ci/run installs it")
        pytest.skip(reason)
    broker = kind(folder)
    broker.start()
    return broker
