"""A terminal for a command."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

TIMEOUT = 120


def in_terminal(*command: str | Path, keys: str = "") -> tuple[int, str]:
    """Run a command in a pseudo-terminal where somebody types `keys`; return its exit code and what it shows."""
    import pty

    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    process = subprocess.Popen(command, stdin=writer, stdout=writer, stderr=writer, env=environment)
    os.close(writer)
    os.write(reader, keys.encode())
    shown = b""
    while True:
        try:
            part = os.read(reader, 65536)
        except OSError:  # Linux reports the end of a terminal so
            break
        if not part:
            break
        shown += part
    os.close(reader)
    return process.wait(TIMEOUT), shown.decode()
