"""A server process for as long as a `with` block lasts."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

END_SECONDS = 20


@contextmanager
def serving(store: Path, log: Path) -> Iterator[str]:
    """Run `compox-http serve` on a store and a free port, in a process of its own; yields its URL.

    Args:
        store: The folder that holds what was deployed.
        log: The file that gets what the server writes to its standard error.

    Raises:
        RuntimeError: when the server does not come up; the message has the end of its log.
    """
    command = [sys.executable, "-m", "compox_http.main", "serve", "--store", str(store), "--port", "0"]
    command += ["--logging.console_level", "WARNING", "--log_path="]  # nothing beside the folder of the demo
    with log.open("wb") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, stdin=subprocess.DEVNULL, text=True)
        try:
            yield _url(server, log)
        finally:
            _end(server)


def _url(server: subprocess.Popen[str], log: Path) -> str:
    """Return the URL that the server prints once it listens."""
    assert server.stdout is not None
    for line in server.stdout:
        found = re.search(r" at (http://\S+)", line)
        if found:
            return found.group(1)
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"compox-http serve ended with exit code {server.wait()} before it listened:\n{tail}")


def _end(server: subprocess.Popen[str]) -> None:
    server.terminate()
    try:
        server.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
    assert server.stdout is not None
    server.stdout.close()
