"""Runs a program and ends it with the process that asked for it, however that ends.

Run by its path, with the standard library alone: `python -I guard.py`. The first line of its input says what to run;
when the input ends, the program is told to end and then killed. What the program says is this process's output.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading

NOT_STARTED = 126


def main() -> None:
    """Be the process."""
    order = json.loads(sys.stdin.buffer.readline())
    try:
        process = subprocess.Popen(
            order["command"], stdin=subprocess.DEVNULL, env={**os.environ, **order["environment"]}
        )
    except OSError as error:
        sys.stdout.write(f"it cannot be run: {error.strerror or error}\n")
        sys.stdout.flush()
        os._exit(NOT_STARTED)
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    threading.Thread(target=_end_with_parent, args=(process, order["seconds"]), daemon=True).start()
    status = process.wait()
    os._exit(status if 0 <= status < 256 else 128 - status)


def _end_with_parent(process: subprocess.Popen[bytes], seconds: float) -> None:
    sys.stdin.buffer.read()
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        _kill_all(process)


def _kill_all(process: subprocess.Popen[bytes]) -> None:
    """Kill the program with what it has started, and this process, which is of the same group."""
    if sys.platform == "win32":
        subprocess.run(["taskkill", "/F", "/T", "/PID", str(process.pid)], capture_output=True, check=False)
    else:
        os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
