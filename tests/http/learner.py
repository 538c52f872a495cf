"""An algorithm that learns a factor, one step after another, and what tests ask of it over HTTP."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from compox_core.engine import Engine
from tests.http.serving import API, Wire, write_algorithm

LEARNER = """
import time
from pathlib import Path
from compox_core.runners import Image2ImageRunner

class Runner(Image2ImageRunner):
    def load_assets(self):
        self.factor = float(self.fetch_asset("files/factor.txt").read())

    def inference(self, data, args=None):
        return data * self.factor

    def train(self, training_data, args=None):
        names = [name for sample in self.get_training_dataset(training_data) for name in sample[:, :]]
        self.log_message(f"learning from {len(names)} files")
        factor = self.factor
        for step in range(args["steps"]):
            for _ in range(args["points"]):
                odd = {"odd": float("nan")} if step == 1 else {}
                self.log_metrics({"loss": 1 / (step + 1), **odd})
            factor += 1
            self.set_state({"step": step})
            self.save_checkpoint({"files/factor.txt": str(factor).encode()}, {"step": step})
            self.set_progress((step + 1) / args["steps"])
            while step == args["wait_at"] and not Path(args["gate"]).exists():
                self.set_progress((step + 1) / args["steps"])
                time.sleep(0.01)
        if args["fail"]:
            raise ValueError("no more patience")
"""

PARAMETERS = """
[[tool.compox.training_parameters]]
name = "steps"
config = { type = "int_range", default = 2, min = 1, max = 1000, step = 1 }
[[tool.compox.training_parameters]]
name = "points"
config = { type = "int", default = 1 }
[[tool.compox.training_parameters]]
name = "wait_at"
config = { type = "int", default = -1 }
[[tool.compox.training_parameters]]
name = "gate"
config = { type = "string", default = "" }
[[tool.compox.training_parameters]]
name = "fail"
config = { type = "bool", default = false }
"""


def write_learner(folder: Path, name: str = "learner", *, extra: str = "", asset: str = "factor.txt") -> Path:
    """Write the algorithm and return its folder."""
    runner = LEARNER.replace("factor.txt", asset)
    write_algorithm(folder, name, runner, extra=f"{extra}\n{PARAMETERS}")
    (folder / "files").mkdir(exist_ok=True)
    (folder / "files" / asset).write_text("1.0")
    return folder


def deploy_learner(engine: Engine, folder: Path, name: str = "learner", **fields: Any) -> str:
    """Deploy the algorithm and return its id."""
    return engine.deploy(write_learner(folder / name, name, **fields)).record.algorithm_id


class Training:
    """Speaks to a server of trainings as a client of any language would."""

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.http = wire.http

    def sample(self, *file_ids: str, tags: tuple[str, ...] = ()) -> str:
        """Create a sample of one group and return its id."""
        answer = self.http.post(f"{API}/sample", json={"files": [{"input": list(file_ids)}], "tags": list(tags)})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["sample_id"])

    def submit(self, samples: list[str], name: str = "learner", **fields: Any) -> str:
        """Submit a training and return its id."""
        body = {"algorithm_id": self.wire.algorithm_id(name), "training_data": samples, **fields}
        answer = self.http.post(f"{API}/train-algorithm", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["training_id"])

    def record(self, training_id: str) -> dict[str, Any]:
        """Return a record as it is now."""
        answer = self.http.get(f"{API}/training/{training_id}")
        assert answer.status_code == 200, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def until(self, training_id: str, **fields: Any) -> dict[str, Any]:
        """Poll until the record has these fields and return it."""
        pause = threading.Event()
        for _ in range(6000):
            record = self.record(training_id)
            if fields.items() <= record.items():
                return record
            assert record["status"] not in ("COMPLETED", "FAILED", "STOPPED"), record
            pause.wait(0.01)
        raise AssertionError(f"still {record}")

    def finish(self, training_id: str) -> dict[str, Any]:
        """Poll until a training has ended and return its record."""
        pause = threading.Event()
        for _ in range(6000):
            record = self.record(training_id)
            if record["status"] in ("COMPLETED", "FAILED", "STOPPED"):
                return record
            pause.wait(0.01)
        raise AssertionError(f"still {record['status']}")
