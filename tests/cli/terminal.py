"""A terminal for a command."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Sequence
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


def answered(*command: str | Path, answers: Sequence[tuple[str, str]]) -> tuple[int, str]:
    """Run a command in a pseudo-terminal where somebody types an answer at each hidden prompt; as `in_terminal`.

    Args:
        answers: What each prompt says, and what is typed then.
    """
    import pty
    import termios

    reader, writer = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100"}
    # In a session of its own, or it would ask at the terminal of whoever runs the tests.
    process = subprocess.Popen(
        command, stdin=writer, stdout=writer, stderr=writer, env=environment, start_new_session=True
    )
    os.close(writer)
    left, shown, seen = list(answers), b"", 0
    try:
        while True:
            if select.select([reader], [], [], 0.02)[0]:
                try:
                    part = os.read(reader, 65536)
                except OSError:  # Linux reports the end of a terminal so
                    break
                if not part:
                    break
                shown += part
            # What is typed before the echo is off is thrown away, as at every terminal.
            if left and left[0][0].encode() in shown[seen:] and not termios.tcgetattr(reader)[3] & termios.ECHO:
                seen = len(shown)
                os.write(reader, f"{left.pop(0)[1]}\n".encode())
        return process.wait(TIMEOUT), shown.decode()
    finally:
        os.close(reader)
        process.kill()
