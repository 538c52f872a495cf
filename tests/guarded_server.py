"""Run an S3 server for as long as a test run lives: `python -m tests.guarded_server KIND PID ANSWER`.

How to reach the server is written to the file ANSWER. When the process PID has gone, however it ended, the server is
stopped and what it stored is removed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil

SCRIPT = Path(__file__).parent.parent / "tools" / "s3-server"


def start_moto() -> tuple[dict[str, str], Callable[[], None]]:
    """Start moto in this process, one request at a time: it does not test and set atomically in threads."""
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app), threaded=False)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    answer = {"endpoint": f"http://127.0.0.1:{server.server_port}", "key": "key", "secret": "secret"}
    return answer, server.shutdown


def start_ceph() -> tuple[dict[str, str], Callable[[], None]]:
    """Start one-node Ceph by the project's script."""
    folder = Path(tempfile.mkdtemp(prefix="compox-ceph-"))  # pytest's own folders may go before the server is stopped

    def stop() -> None:
        subprocess.run([SCRIPT, "stop", folder], check=False)
        shutil.rmtree(folder, ignore_errors=True)

    started = subprocess.run([SCRIPT, "start", folder, "auto"], capture_output=True, text=True, check=False)
    if started.returncode:
        stop()
        raise RuntimeError(started.stderr)
    return dict(word.split("=", 1) for word in started.stdout.split()), stop


def main(kind: str, pid: str, answer: str) -> None:
    """Start the server, tell about it, and end it when the process has gone."""
    run = psutil.Process(int(pid))
    try:
        reached, stop = {"moto": start_moto, "ceph": start_ceph}[kind]()
    except Exception as error:  # whoever waits for the answer gets the reason
        reached, stop = {"error": str(error)}, lambda: None
    draft = Path(answer + ".draft")
    draft.write_text(json.dumps(reached))
    draft.replace(answer)
    while run.is_running() and run.status() != psutil.STATUS_ZOMBIE:
        time.sleep(0.5)
    stop()


if __name__ == "__main__":
    main(*sys.argv[1:])
