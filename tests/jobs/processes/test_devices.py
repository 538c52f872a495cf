"""Worker processes that are bound to devices: which job goes where, and what it finds there.

`nvidia-smi` is a stand-in that lists two GPUs; an algorithm says what it was given.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from compox_core.data import ImageSchema
from compox_core.engine import Engine
from compox_core.records import ExecutionRecord, ExecutionRequest, TaskStatus
from compox_core.settings import load_settings
from tests.engine.authors import write_algorithm
from tests.jobs.processes.shop import messages

pytestmark = pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")

DEADLINE = 60.0
RUNNER = """
import os
import sys
import types
from compox_core.runners import Image2ImageRunner

torch = sys.modules.setdefault("torch", types.ModuleType("torch"))
torch.chosen = "none"
torch.cuda = types.SimpleNamespace(set_device=lambda index: setattr(torch, "chosen", index))


class Runner(Image2ImageRunner):
    def load_assets(self):
        print("loaded with", torch.chosen)

    def inference(self, data, args):
        print("process", os.getpid(), "torch", torch.chosen, "sees", os.environ.get("CUDA_VISIBLE_DEVICES"))
        return data
"""
ALL_DEVICES = 'supported_devices = ["cpu", "gpu"]\ndefault_device = "{default}"'


class Place:
    """An engine with workers for devices, and two algorithms: by default one runs on the processor, one on a GPU."""

    def __init__(self, engine: Engine, folder: Path) -> None:
        self.engine = engine
        self.input = engine.files.save({"image": np.zeros((2, 2), np.float32)}, ImageSchema)
        self.algorithms = {
            default: engine.deploy(
                write_algorithm(folder / default, RUNNER, name=default, extra=ALL_DEVICES.format(default=default))
            ).record.algorithm_id
            for default in ("cpu", "gpu")
        }

    def submit(self, default: str, wish: str | None = None) -> str:
        request = ExecutionRequest(
            algorithm_id=self.algorithms[default], input_dataset_ids=[self.input], execution_device_override=wish
        )
        return self.engine.executions.submit(request).execution_id

    def ended(self, task_id: str) -> ExecutionRecord:
        record = self.engine.executions.wait(task_id, DEADLINE)
        assert record.status is TaskStatus.COMPLETED, record.log
        return record

    def run(self, default: str, wish: str | None = None) -> ExecutionRecord:
        return self.ended(self.submit(default, wish))


@pytest.fixture(scope="module", autouse=True)
def two_gpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("bin")
    program = folder / "nvidia-smi"
    program.write_text("#!/bin/sh\nprintf '0, GPU-a\\n1, GPU-b\\n'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(folder), prepend=os.pathsep)
        patch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
        patch.setitem(sys.modules, "torch", None)  # type: ignore[arg-type]  # so that what stands for it goes again
        del sys.modules["torch"]
        yield


def opened(folder: Path, workers: dict[str, int] | None = None, **inference: object) -> Engine:
    backend = {"executor": "processes", "warm_spare": False} | ({"workers": workers} if workers else {})
    settings = {
        "storage": {"backend_settings": {"path": str(folder / "store")}},
        "inference": {"backend_settings": backend, **inference},
    }
    return Engine(load_settings(settings))


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Two workers for the processor, one for each GPU."""
    folder = tmp_path_factory.mktemp("place")
    with opened(folder, {"cpu": 2, "cuda:0": 1, "cuda:1": 1}) as engine:
        yield Place(engine, folder)


def process(record: ExecutionRecord) -> int:
    return int(record.log.split(" process ", 1)[1].split()[0])


def chosen(record: ExecutionRecord) -> str:
    return record.log.split(" torch ", 1)[1].split()[0]


def warnings(record: ExecutionRecord) -> list[str]:
    return [line for line in messages(record) if line.startswith("WARNING")]


@pytest.mark.parametrize(
    ("default", "wish", "devices"),
    [
        ("cpu", None, {"cpu"}),
        ("gpu", None, {"cuda:0", "cuda:1"}),
        ("cpu", "gpu", {"cuda:0", "cuda:1"}),
        ("cpu", "cuda", {"cuda:0", "cuda:1"}),
        ("cpu", "cuda:0", {"cuda:0"}),
        ("cpu", "CUDA:1", {"cuda:1"}),
        ("gpu", "cpu", {"cpu"}),
    ],
)
def test_a_job_runs_on_the_device_that_it_needs(
    place: Place, default: str, wish: str | None, devices: set[str]
) -> None:
    """In a worker for it, where PyTorch knows which GPU is meant; a GPU that is not named is any of them."""
    record = place.run(default, wish)
    assert record.resolved_execution_device in devices
    assert warnings(record) == []
    index = str(record.resolved_execution_device).removeprefix("cuda:")
    assert chosen(record) == ("none" if index == "cpu" else index)


def test_each_device_has_processes_of_its_own(place: Place) -> None:
    """As many as the settings say; jobs at a time are spread over them, and nothing else runs there."""
    wishes = ["cpu", "cuda:0", "cuda:1"] * 4
    ended = [place.ended(task_id) for task_id in [place.submit("cpu", wish) for wish in wishes]]
    found: dict[str, set[int]] = {}
    for wish, record in zip(wishes, ended, strict=True):
        assert record.resolved_execution_device == wish
        found.setdefault(wish, set()).add(process(record))
    assert len(found["cuda:0"]) == len(found["cuda:1"]) == 1
    assert 1 <= len(found["cpu"]) <= 2
    assert len(set.union(*found.values())) == sum(len(processes) for processes in found.values())


@pytest.mark.parametrize(("wish", "why"), [("cuda:7", "this worker is for"), ("mps", "not among"), ("tpu", "unknown")])
@pytest.mark.parametrize("default", ["cpu", "gpu"])
def test_a_device_that_no_worker_is_for_falls_back(place: Place, default: str, wish: str, why: str) -> None:
    """To the algorithm's default, in a worker for that; the log of the task says why."""
    record = place.run(default, wish)
    assert str(record.resolved_execution_device).startswith("cpu" if default == "cpu" else "cuda:")
    [warning] = warnings(record)
    assert f"'{wish}'" in warning
    assert why in warning


def test_without_a_worker_for_the_processor_such_jobs_go_anywhere(tmp_path: Path) -> None:
    """And run on the processor all the same; the next finds its GPU chosen before its model is loaded."""
    with opened(tmp_path, {"cuda:1": 1}) as engine:
        place = Place(engine, tmp_path)
        on_cpu, on_gpu = place.run("cpu"), place.run("gpu")
    assert (on_cpu.resolved_execution_device, on_gpu.resolved_execution_device) == ("cpu", "cuda:1")
    assert "loaded with none" in on_cpu.log
    assert "loaded with 1" in on_gpu.log


def test_without_a_worker_for_gpus_there_is_none(tmp_path: Path) -> None:
    """Whatever the machine has; the log says why."""
    with opened(tmp_path, {"cpu": 1}) as engine:
        record = Place(engine, tmp_path).run("gpu")
    assert record.resolved_execution_device == "cpu"
    assert "this worker is for cpu" in warnings(record)[0]


def test_workers_see_the_gpus_that_the_settings_name(tmp_path: Path) -> None:
    """Only these count, and they are numbered anew, as CUDA does it."""
    with opened(tmp_path, {"cuda:0": 1}, cuda_visible_devices="1") as engine:
        place = Place(engine, tmp_path)
        [on_gpu, beyond] = [place.run("cpu", wish) for wish in ("gpu", "cuda:1")]
    assert (on_gpu.resolved_execution_device, beyond.resolved_execution_device) == ("cuda:0", "cpu")
    assert "sees 1" in on_gpu.log
    assert "sees 1" in beyond.log


def test_no_gpu_can_be_asked_for(tmp_path: Path) -> None:
    """By an empty list; a worker for any device finds none."""
    with opened(tmp_path, cuda_visible_devices="") as engine:
        record = Place(engine, tmp_path).run("gpu")
    assert record.resolved_execution_device == "cpu"
    assert "lists no GPU" in warnings(record)[0]


def test_a_worker_for_any_device_takes_everything(tmp_path: Path) -> None:
    """Each job gets what it asks for, as in the executors of this process; all GPUs are seen."""
    with opened(tmp_path) as engine:
        place = Place(engine, tmp_path)
        records = [place.run("cpu"), place.run("gpu"), place.run("cpu", "cuda:1")]
    assert [record.resolved_execution_device for record in records] == ["cpu", "cuda", "cuda:1"]
    assert len({process(record) for record in records}) == 1
    assert {chosen(record) for record in records} == {"none"}
    assert all("sees None" in record.log for record in records)


def test_threads_see_the_gpus_that_the_settings_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the variables of their process, which are set before an algorithm is loaded."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    settings = {"storage": {"backend_settings": {"provider": "memory"}}, "inference": {"cuda_visible_devices": "1"}}
    with Engine(load_settings(settings)) as engine:
        record = Place(engine, tmp_path).run("gpu", "cuda:1")
    assert "sees 1" in record.log
    assert record.resolved_execution_device == "cuda"
    assert "1 GPU" in warnings(record)[0]
