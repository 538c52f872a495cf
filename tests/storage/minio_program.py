"""A program that takes MinIO's arguments and serves S3, for tests of what starts it.

Run by a small script that a test writes. `MINIO_TRIAL` in its environment says what it does: `moto` serves whole S3;
`tiny` (the default) answers as S3 does and keeps nothing; `deaf` does that and heeds no SIGTERM, nor does its child;
`silent` never answers; `ends` says its keys and ends. Each start adds a line to the file `starts` in its folder.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

SLEEP = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"


class Refusing(BaseHTTPRequestHandler):
    """Refuses every request in XML, as S3 does without keys."""

    def do_GET(self) -> None:
        """Answer."""
        body = b"<Error><Code>AccessDenied</Code></Error>"
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def main() -> None:
    """Be MinIO."""
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["server"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--address", required=True)
    parser.add_argument("--console-address", required=True)
    given = parser.parse_args()
    host, port = given.address.rsplit(":", 1)
    trial = os.environ.get("MINIO_TRIAL", "tiny")
    keys = [os.environ["MINIO_ROOT_USER"], os.environ["MINIO_ROOT_PASSWORD"]]
    pids = [os.getpid()]
    if trial == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        pids.append(subprocess.Popen([sys.executable, "-c", SLEEP]).pid)
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder / "starts").open("a", encoding="utf-8") as starts:
        starts.write(json.dumps({"pids": pids, "keys": keys, "console": given.console_address}) + "\n")
    print(f"RootUser: {keys[0]} RootPass: {keys[1]}\nERROR: a made-up one\n" + "words and words\n" * 10_000, flush=True)
    if trial == "ends":
        sys.exit(3)
    if trial == "silent":
        time.sleep(600)
    if trial == "moto":
        from moto.server import DomainDispatcherApplication, create_backend_app
        from werkzeug.serving import make_server

        make_server(host, int(port), DomainDispatcherApplication(create_backend_app)).serve_forever()
    HTTPServer((host, int(port)), Refusing).serve_forever()
