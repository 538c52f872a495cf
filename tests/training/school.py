"""An engine with an algorithm whose `train` is whatever a test says: a function here, or code for another process."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from compox_core.data import DataSchema
from compox_core.engine import Engine
from compox_core.engine.training_handle import TrainingHandle
from compox_core.records import SampleRecord, TaskStatus, TrainingRecord
from compox_core.settings import load_settings
from tests.engine.authors import write_algorithm

DEADLINE = 60.0
WEIGHTS = b"3"
EXTRA = """
[[tool.compox.training_parameters]]
name = "epochs"
config = { type = "int_range", default = 2, min = 1, max = 10, step = 1 }
"""
RUNNER = """
from compox_core.runners import Image2ImageRunner


class Runner(Image2ImageRunner):
    def load_assets(self):
        self.weights = self.fetch_asset("weights.bin").read()
        self.model = {"weights": self.weights}

    def inference(self, data, args):
        return data + int(self.model["weights"])

    def train(self, training_data, args):
        if "lesson" in args:
            from tests.training.school import LESSONS
            return LESSONS[args["lesson"]](self, training_data, args)
        exec(compile(args["code"], "<code of the test>", "exec"), {"self": self, "data": training_data, "args": args})
"""
LESSONS: dict[str, Callable[[Any, list[str], dict[str, Any]], object]] = {}
"""What trainings in this process do, by the name that the test gave it."""

Lesson = Callable[[Any, list[str]], object]


class PairSchema(DataSchema):
    image: np.ndarray


def until(condition: Callable[[], Any], what: str) -> Any:
    """Wait until `condition` is true and return its value."""
    deadline = time.monotonic() + DEADLINE
    while not (value := condition()):
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
    return value


def write_trainable(folder: Path, runner: str = RUNNER, **fields: Any) -> Path:
    """Write the folder of an algorithm with the assets `weights.bin` and `more/table.bin`."""
    files = {"weights.bin": WEIGHTS, "more/table.bin": b"table", **fields.pop("files", {})}
    return write_algorithm(folder, runner, extra=EXTRA + fields.pop("extra", ""), files=files, **fields)


def settings_for(
    folder: Path | None, executor: str, *, temp: Path | None = None, stop: Mapping[str, float] | None = None
) -> dict[str, Any]:
    """Return the settings of an engine on a folder, or in memory, with one worker."""
    backend: dict[str, Any] = {"executor": executor} | ({"warm_spare": False} if executor == "processes" else {})
    where = {"provider": "memory"} if folder is None else {"path": str(folder)}
    return {
        "log_path": "",
        "storage": {"backend_settings": where},
        "inference": {
            "backend_settings": backend,
            "temp_path": None if temp is None else str(temp),
            "stop": dict(stop or {}),
            "queue": {"heartbeat_seconds": 0.5, "lost_after_seconds": 10, "reconcile_seconds": 0.3},
        },
    }


class School:
    """Trains the algorithm on an engine. `temp` is where its trainings keep their files."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.temp = folder / "temp"
        self.algorithm_id = engine.deploy(write_trainable(folder / "algorithm")).record.algorithm_id
        self.sample = self.make_sample()

    def make_sample(self, *values: float, files: int = 1) -> SampleRecord:
        """Store a sample with one group for each value, under `input` and `target`."""
        return self.engine.samples.create([self._group(value, files) for value in values or (1.0,)])

    def _group(self, value: float, files: int) -> dict[str, list[Any]]:
        image = np.full((4, 4), value, np.float32)
        return {key: [{"image": image + number} for number in range(files)] for key in ("input", "target")}

    def begin(
        self, lesson: Lesson | str, *samples: str, checkpoint: str | None = None, timeout_s: float | None = None
    ) -> TrainingHandle:
        """Submit a training that does `lesson`."""
        if isinstance(lesson, str):
            given = {"code": textwrap.dedent(lesson)}
        else:
            given = {"lesson": f"{id(lesson)}"}
            LESSONS[given["lesson"]] = lambda runner, data, args: lesson(runner, data)
        return self.engine.train(
            "sample",
            samples or [self.sample],
            checkpoint=checkpoint,
            timeout_s=timeout_s,
            tags=["Kind A"],
            parameters=given,
        )

    def train(self, lesson: Lesson | str, *samples: str, **options: Any) -> TrainingRecord:
        """Train to the end, which a failed assertion of the lesson fails here too; return the record."""
        failed: list[AssertionError] = []

        def watched(runner: Any, data: list[str]) -> None:
            assert callable(lesson)
            try:
                lesson(runner, data)
            except AssertionError as error:
                failed.append(error)
                raise

        record = self.begin(watched if callable(lesson) else lesson, *samples, **options).wait(DEADLINE)
        if failed:
            raise failed[0]
        assert record.status.final, record.log
        return record

    def folders(self) -> list[Path]:
        """Return the folders of temporary files that are there."""
        return sorted(self.temp.glob("compox-training-*"))


def save(runner: Any, data: Sequence[str] = ()) -> str:
    """Save a checkpoint, as every training has to."""
    found: str = runner.save_checkpoint({"weights.bin": b"5"}, {"epoch": 1})
    return found


def completed(record: TrainingRecord) -> TrainingRecord:
    assert record.status is TaskStatus.COMPLETED, record.log
    return record


def failed_with(record: TrainingRecord, code: str) -> str:
    """Assert that a training failed with one cause; return its message."""
    assert (record.status, record.error and record.error.code) == (TaskStatus.FAILED, code), record
    assert record.error is not None
    return record.error.message


@contextmanager
def opened(folder: Path, executor: str, *, stored: bool = False, **options: Any) -> Iterator[School]:
    """Open an engine of a test's own, on a folder with `stored`, else in memory."""
    temp = folder / "temp"
    settings = settings_for(folder / "store" if stored else None, executor, temp=temp, **options)
    engine = Engine(load_settings(settings))
    try:
        yield School(engine.open(), folder)
    finally:
        engine.close(wait=False)
