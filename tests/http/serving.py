"""A server in a thread, over a real socket, and small algorithms for it to run."""

from __future__ import annotations

import ssl
import textwrap
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import httpx2
import numpy as np

from compox_core.engine import Engine
from compox_http.app import create_app
from compox_http.serving import bind, make_server, url_of
from tests.servers import S3Server

API = "/api/v0"

DOUBLE = """
from compox_core.runners import Image2ImageRunner

class Runner(Image2ImageRunner):
    def inference(self, data, args=None):
        self.log_message("doubling")
        return data * args["factor"]
"""

ENDLESS = """
import time
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def preprocess(self, data, args=None):
        return data

    def inference(self, data, args=None):
        while True:
            time.sleep(0.002)
            self.set_progress(0.5)

    def postprocess(self, data, args=None):
        return []
"""

BROKEN = """
from compox_core.runners import Image2ImageRunner

class Runner(Image2ImageRunner):
    def inference(self, data, args=None):
        raise ValueError("no such pixel")
"""

MEASURED = """
from compox_core.runners import BaseRunner

class Runner(BaseRunner):
    def benchmark(self, args=None):
        self.log_message("measuring")
        return {"seconds": 0.25, "sizes": [1, 2]}
"""

FACTOR = """
[[tool.compox.additional_parameters]]
name = "factor"
description = "Multiplies."
config = { type = "float_range", default = 2.0, min = 0.0, max = 9.0, step = 0.5 }
"""


def write_algorithm(
    folder: Path, name: str, runner: str, *, version: str = "1.0", kind: str = "Image2Image", extra: str = ""
) -> Path:
    """Write an algorithm and return its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Runner.py").write_text(textwrap.dedent(runner), encoding="utf-8")
    (folder / "pyproject.toml").write_text(
        f'[project]\nname = "{name}"\nversion = "{version}"\n\n[tool.compox]\nalgorithm_type = "{kind}"\n{extra}\n',
        encoding="utf-8",
    )
    return folder


def deploy_all(engine: Engine, folder: Path) -> None:
    """Deploy the algorithms that the tests run."""
    tags = 'tags = ["scale", "Fast"]\nsupported_devices = ["cpu", "gpu"]\n'
    engine.deploy(write_algorithm(folder / "double", "double", DOUBLE, extra=tags + FACTOR))
    engine.deploy(write_algorithm(folder / "endless", "endless", ENDLESS, kind="Generic"))
    engine.deploy(write_algorithm(folder / "broken", "broken", BROKEN, extra='tags = ["scale"]'))
    engine.deploy(write_algorithm(folder / "measured", "measured", MEASURED, kind="Generic", extra='tags = ["own"]'))


def settings_for(kind: str, folder: Path, s3: S3Server | None = None) -> dict[str, Any]:
    """Return settings for a `memory` store, a `local` one in `folder` or an `s3` one, with four worker threads."""
    place: dict[str, Any] = {"provider": kind}
    if kind == "local":
        place["path"] = str(folder)
    if s3 is not None:
        place = {"provider": "fsspec", "url": s3.url(), "options": s3.options}
    return {
        "storage": {"backend_settings": place},
        "inference": {"backend_settings": {"executor": "threads", "worker_number": 4}},
    }


@contextmanager
def served(engine: Engine, tls: ssl.SSLContext | None = None) -> Iterator[str]:
    """Serve an engine at a free port, and give its URL."""
    listener = bind("127.0.0.1", 0)
    url = url_of(listener, secure=tls is not None)
    listening = threading.Event()
    server = make_server(create_app(engine), listening.set, tls)
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    assert listening.wait(30)
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(30)
        assert not thread.is_alive()


def hdf5_bytes(folder: Path, **values: Any) -> bytes:
    """Return the content of an HDF5 file with these datasets."""
    path = folder / "input.h5"
    with h5py.File(path, "w") as file:
        for key, value in values.items():
            file[key] = value
    return path.read_bytes()


def image(seed: int = 0, side: int = 16) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return a small grey image."""
    return np.random.default_rng(seed).random((side, side), dtype=np.float32)


def error_body(answer: httpx2.Response) -> dict[str, Any]:
    """Return the body of an error but for its last key, the id of the request, which the header says too."""
    body: dict[str, Any] = answer.json()
    assert list(body)[-1] == "request_id"
    assert body.pop("request_id") == answer.headers["x-request-id"]
    return body


class Wire:
    """Speaks to a server as a client of any language would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.http = httpx2.Client(base_url=url, trust_env=False, timeout=60)

    def algorithm_id(self, name: str, major: str = "1") -> str:
        """Return the id of a deployed algorithm."""
        return str(self.http.get(f"{API}/algorithm/{name}/{major}").json()["algorithm_id"])

    def upload(self, content: bytes) -> str:
        """Upload a file and return its id."""
        answer = self.http.post(f"{API}/files", content=content)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["file_id"])

    def execute(self, name: str, inputs: list[str], **fields: Any) -> str:
        """Submit a run and return its id."""
        body = {"algorithm_id": self.algorithm_id(name), "input_dataset_ids": inputs, **fields}
        answer = self.http.post(f"{API}/execute-algorithm", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["execution_id"])

    def record(self, execution_id: str) -> dict[str, Any]:
        """Return a record as it is now."""
        answer = self.http.get(f"{API}/executions/{execution_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def finish(self, execution_id: str) -> dict[str, Any]:
        """Poll until a run has ended and return its record."""
        pause = threading.Event()
        for _ in range(6000):
            record = self.record(execution_id)
            if record["status"] in ("COMPLETED", "FAILED", "STOPPED"):
                return record
            pause.wait(0.005)
        raise AssertionError(f"still {record['status']}")

    def close(self) -> None:
        """Close the connections."""
        self.http.close()
