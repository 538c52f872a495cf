"""A training over many large samples, in a process of its own whose address space is limited.

`python -m tests.training.streamed STORE TEMP SAMPLE_ID LIMIT` trains on the store where the samples lie, and prints
figures as JSON; LIMIT is in bytes beyond what the process takes before the training, or with a `=` before it in all.
"""

from __future__ import annotations

import hashlib
import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.data import write_hdf5
from compox_core.engine import Engine
from compox_core.settings import load_settings
from tests.training.school import settings_for, write_trainable

MIB = 1 << 20
SIDE = 2896
"""A float32 image of so many pixels squared has 32 MiB."""

LESSON = """
import time
from compox_core.data import ImageSchema
begun = time.perf_counter()
dataset = self.get_training_dataset(data)
local = self.download_dataset_to_temp_store(dataset, {"input": ImageSchema}, batch_size=2)
downloaded = time.perf_counter()
total = 0.0
paths = [path for sample in local for group in sample for path in group["input"]]
for path in paths:
    total += float(self.load_files_from_temp_store([path])[0]["image"][0, 0])
ended = time.perf_counter()
self.set_state({"files": len(paths), "total": total, "download": downloaded - begun, "load": ended - downloaded})
self.save_checkpoint({"weights.bin": b"5"})
"""


def prepare(store: Path, count: int) -> str:
    """Deploy the algorithm and store a sample of so many images of 32 MiB; return its id.

    They have the same content, so that a store which can share it holds it once: a training does not know.
    """
    image = np.random.default_rng(0).random((SIDE, SIDE), np.float32)
    with Engine(load_settings(settings_for(store, "inline"))) as engine:
        engine.deploy(write_trainable(store.parent / "algorithm"))
        path = engine.store.scratch()
        path.parent.mkdir(parents=True, exist_ok=True)
        write_hdf5(path, {"image": image})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        ids = [engine.files.adopt(path, digest, noted=True)]
        while len(ids) < count:
            again = engine.files.again(digest)
            assert again is not None
            ids.append(again)
        return engine.samples.create([{"input": [each]} for each in ids]).sample_id


def trained(store: Path, temp: Path, sample_id: str, limit: str) -> dict[str, Any]:
    """Train in a child process and return its figures."""
    # Each thread of a BLAS and each arena of malloc reserves address space that nobody uses; the limit counts it.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
    command = [sys.executable, "-m", "tests.training.streamed", str(store), str(temp), sample_id, limit]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{done.stdout[-2000:]}{done.stderr[-4000:]}")
    figures: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return figures


def _status(name: str) -> int:
    """Return a figure of this process in bytes, as Linux tells it."""
    lines = Path("/proc/self/status").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def _main(store: str, temp: str, sample_id: str, limit: str) -> int:
    with Engine(load_settings(settings_for(Path(store), "threads", temp=Path(temp)))) as engine:
        before = {"size": _status("VmSize"), "resident": _status("VmRSS")}
        wanted = int(limit[1:]) if limit.startswith("=") else before["size"] + int(limit)
        resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
        record = engine.train("sample", sample_id, parameters={"code": LESSON}).wait()
        figures = {
            **record.state,
            "status": record.status.value,
            "limit": wanted,
            "base": before["size"],
            "peak": _status("VmPeak"),
            "resident_base": before["resident"],
            "resident_peak": _status("VmHWM"),
        }
    print(record.log, file=sys.stderr)
    print(json.dumps(figures))
    return 0 if record.status == "COMPLETED" else 1


if __name__ == "__main__":
    sys.exit(_main(*sys.argv[1:]))
