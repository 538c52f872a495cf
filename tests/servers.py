"""S3 servers for tests: fixtures that find or start one, once for all xdist workers of a run.

`moto_server` is moto's server in a process of its own. `s3_server` is a real one: the server that
`COMPOX_TEST_S3_ENDPOINT` (with `_KEY`, `_SECRET`) names, else one-node Ceph by `tools/s3-server`. Where neither is to
be had, tests that need it are skipped, and fail where `CI=true`.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sys
import time
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent


@dataclass
class S3Server:
    """How to reach an S3 server."""

    endpoint: str
    key: str
    secret: str

    @property
    def options(self) -> dict[str, Any]:
        """The `options` of `open_store`."""
        return {"endpoint_url": self.endpoint, "key": self.key, "secret": self.secret}

    @functools.cached_property
    def filesystem(self) -> Any:
        """The filesystem that stores of several tests may share; a client takes long to make."""
        from compox_core.storage.s3_client import connect

        return connect(self.options)

    def url(self) -> str:
        """Return the URL of a place that no other test uses."""
        return f"s3://compox-tests/{uuid.uuid4().hex}"

    @functools.cached_property
    def client(self) -> Any:
        """A plain client, to look past the store."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(request_checksum_calculation="when_required", response_checksum_validation="when_required"),
        )


@pytest.fixture(scope="session")
def moto_server(tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """Moto's S3 server, an imitation of Amazon's."""
    return _shared(tmp_path_factory, "moto")


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> S3Server:
    """A real S3 server."""
    endpoint = os.environ.get("COMPOX_TEST_S3_ENDPOINT")
    if endpoint:
        key, secret = (os.environ[f"COMPOX_TEST_S3_{name}"] for name in ("KEY", "SECRET"))
        return S3Server(endpoint, key, secret)
    if shutil.which("radosgw") is None:
        reason = "no real S3 server: set COMPOX_TEST_S3_ENDPOINT, or run tools/s3-server install (Debian)"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return _shared(tmp_path_factory, "ceph")


def _shared(factory: pytest.TempPathFactory, kind: str) -> S3Server:
    """Start a server, or wait for the xdist worker that does. It ends by itself when the test run has ended."""
    worker = os.environ.get("PYTEST_XDIST_WORKER")
    base = factory.getbasetemp().parent if worker else factory.getbasetemp()
    said, log = base / f"{kind}.json", base / f"{kind}.log"
    try:
        (base / f"{kind}.started").touch(exist_ok=False)
    except FileExistsError:
        pass  # another worker starts it
    else:
        run = os.getppid() if worker else os.getpid()
        arguments = [sys.executable, "-m", "tests.guarded_server", kind, str(run), str(said)]
        with log.open("wb") as output:
            subprocess.Popen(
                arguments, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
            )
    deadline = time.monotonic() + 240
    while not said.exists():
        if time.monotonic() > deadline:
            pytest.fail(f"the {kind} server did not start: {log.read_text()[-2000:]}")
        time.sleep(0.1)
    answer = json.loads(said.read_text())
    if "error" in answer:
        pytest.fail(f"the {kind} server did not start: {answer['error']}")
    return S3Server(**answer)
