"""Tries in a child process whether the code of an algorithm can be imported.

Run as `python -m compox_core.algorithms.importable FOLDER`, it is that child.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import traceback
from contextlib import suppress
from pathlib import Path
from typing import IO

from compox_core.errors import PackageError

TIMEOUT_SECONDS = 20.0
TAIL_BYTES = 4000


def check_importable(folder: Path, timeout_s: float = TIMEOUT_SECONDS) -> None:
    """Import the Runner class of a folder of modules in a child process, as an execution would.

    What the child prints goes to a file, so that a grandchild which holds on to it delays nothing; the child's
    process group is ended with it.

    Raises PackageError (`algorithm_module_import_check_failed`) with the end of what the child printed.
    """
    command = [sys.executable, "-m", __name__, str(folder)]
    with tempfile.TemporaryFile() as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=os.name == "posix",
        )
        try:
            status = child.wait(timeout_s)
        except subprocess.TimeoutExpired:
            raise _failed(f"it took more than {timeout_s:g} seconds", _tail(output)) from None
        finally:
            _end(child)
        if status != 0:
            raise _failed(f"the import ended with exit status {status}", _tail(output))


def _end(child: subprocess.Popen[bytes]) -> None:
    if os.name == "posix":
        with suppress(ProcessLookupError, PermissionError):  # nothing is left of it; macOS says it so
            os.killpg(child.pid, signal.SIGKILL)
    elif child.poll() is None:
        child.kill()
    child.wait()


def _tail(output: IO[bytes]) -> str:
    size = output.seek(0, os.SEEK_END)
    output.seek(max(0, size - TAIL_BYTES))
    return output.read().decode("utf-8", "replace").strip()


def _failed(why: str, output: str) -> PackageError:
    return PackageError(
        f"The algorithm cannot be imported (check_importable): {why}." + (f"\n{output}" if output else ""),
        code="algorithm_module_import_check_failed",
        details={"output": output},
    )


def main(folder: str) -> int:
    """Import the Runner class of a folder; return the exit status. The traceback goes to stderr."""
    from compox_core.algorithms.loading import load_runner_class
    from compox_core.algorithms.scope.folders import CACHE_VARIABLE

    with tempfile.TemporaryDirectory(prefix="compox-import-", ignore_cleanup_errors=True) as cache:
        os.environ[CACHE_VARIABLE] = cache
        try:
            load_runner_class(Path(folder))
        except Exception:  # the end of this process: whatever went wrong is what the parent wants to read
            traceback.print_exc()
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
