"""The device of a run: what is declared, what is asked for, what there is."""

from __future__ import annotations

import os
import stat
import sys
import types
from pathlib import Path

import pytest

from compox_core.tasks import DeviceProbe, resolve_device
from compox_core.tasks.devices import bind_torch, count_visible, see_gpus


class Machine(DeviceProbe):
    """A machine with so many GPUs."""

    def __init__(self, cuda: int = 0, mps: bool = False) -> None:
        super().__init__()
        self._gpus, self._mps = cuda, mps

    def cuda_count(self) -> int:
        return self._gpus

    def has_mps(self) -> bool:
        return self._mps


ALL = ["cpu", "gpu", "mps"]


@pytest.mark.parametrize(
    ("default", "supported", "override", "machine", "device", "warned"),
    [
        ("cpu", ["cpu"], None, Machine(), "cpu", None),
        ("cpu", ["cpu"], "", Machine(), "cpu", None),
        ("gpu", ["gpu"], None, Machine(cuda=1), "cuda", None),
        ("gpu", ["gpu"], None, Machine(), "cpu", "nvidia-smi"),
        ("mps", ALL, None, Machine(mps=True), "mps", None),
        ("mps", ALL, None, Machine(), "cpu", "not available"),
        ("cpu", ALL, "gpu", Machine(cuda=1), "cuda", None),
        ("cpu", ALL, "GPU", Machine(cuda=1), "cuda", None),
        ("cpu", ALL, "cuda", Machine(cuda=1), "cuda", None),
        ("cpu", ALL, "cuda:1", Machine(cuda=2), "cuda:1", None),
        ("cpu", ALL, "cuda:2", Machine(cuda=2), "cpu", "2 GPU"),
        ("gpu", ALL, "cuda:7", Machine(cuda=2), "cuda", "2 GPU"),
        ("cpu", ALL, "mps", Machine(mps=True), "mps", None),
        ("gpu", ALL, "cpu", Machine(cuda=1), "cpu", None),
        ("cpu", ["cpu"], "gpu", Machine(cuda=1), "cpu", "not among"),
        ("cpu", ["cpu"], "cuda:0", Machine(cuda=1), "cpu", "not among"),
        ("gpu", ["gpu"], "tpu", Machine(cuda=1), "cuda", "unknown"),
        ("cpu", ALL, "cuda:x", Machine(cuda=1), "cpu", "unknown"),
    ],
)
def test_a_device_is_honoured_or_falls_back_with_a_reason(
    default: str, supported: list[str], override: str | None, machine: DeviceProbe, device: str, warned: str | None
) -> None:
    """An override counts where it is supported and there; else the default rule applies and the log says why."""
    choice = resolve_device(default, supported, override, machine)
    assert choice.device == device
    if warned is None:
        assert choice.warnings == []
    else:
        assert warned in " ".join(choice.warnings)


def test_the_setting_can_forbid_gpus() -> None:
    """With `inference.device: cpu` nothing but the processor is used."""
    choice = resolve_device("gpu", ["gpu"], "cuda:0", Machine(cuda=4), allowed="cpu")
    assert choice.device == "cpu"
    assert "inference.device" in choice.warnings[0]


POOL = ["cpu", "cuda:0", "cuda:1"]


@pytest.mark.parametrize(
    ("default", "override", "among", "device", "warned"),
    [
        # a worker that is bound to one device
        ("gpu", None, ["cuda:1"], "cuda:1", None),
        ("cpu", "gpu", ["cuda:1"], "cuda:1", None),
        ("cpu", "cuda", ["cuda:1"], "cuda:1", None),
        ("cpu", "cuda:1", ["cuda:1"], "cuda:1", None),
        ("cpu", "cuda:0", ["cuda:1"], "cpu", "this worker is for cuda:1"),
        ("gpu", "cuda:0", ["cuda:1"], "cuda:1", "this worker is for cuda:1"),
        ("gpu", "cpu", ["cuda:1"], "cpu", None),
        ("gpu", None, ["cuda:2"], "cpu", "2 GPU"),
        ("gpu", None, ["cpu"], "cpu", "this worker is for cpu"),
        ("cpu", "mps", ["cpu"], "cpu", "this worker is for cpu"),
        ("cpu", "mps", ["mps"], "mps", None),
        ("gpu", None, ["mps"], "cpu", "this worker is for mps"),
        # several workers, of which one is still to be found
        ("cpu", None, POOL, "cpu", None),
        ("gpu", None, POOL, "cuda", None),
        ("gpu", "cuda:1", POOL, "cuda:1", None),
        ("gpu", "cuda:5", POOL, "cuda", "this worker is for cpu, cuda:0, cuda:1"),
        ("cpu", "gpu", ["cpu", "cuda:0"], "cuda:0", None),
        ("cpu", "gpu", ["cuda:7", "cuda:1"], "cuda:1", None),
        ("cpu", "gpu", ["cuda:7", "cuda:8"], "cpu", "2 GPU"),
    ],
)
def test_only_devices_that_workers_are_for_can_be_had(
    default: str, override: str | None, among: list[str], device: str, warned: str | None
) -> None:
    """And the processor, which is everywhere; any GPU means the one there is a worker for."""
    choice = resolve_device(default, ALL, override, Machine(cuda=2, mps=True), among=among)
    assert choice.device == device
    assert bool(choice.warnings) == (warned is not None)
    assert (warned or "") in " ".join(choice.warnings)


@pytest.mark.parametrize("default", ALL)
@pytest.mark.parametrize("override", [None, "cpu", "gpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "cuda:9", "mps", "tpu"])
@pytest.mark.parametrize(
    "pool", [["cpu"], ["cuda:0"], POOL, ["cpu", "cuda:1"], ["mps", "cuda:0"], ["cuda:1", "cuda:2"]]
)
def test_a_worker_finds_what_its_server_has_sent_the_job_for(
    default: str, override: str | None, pool: list[str]
) -> None:
    """The server chooses among all its workers, the one that gets the job among its own device: with one result."""
    machine = Machine(cuda=3, mps=True)
    sent = resolve_device(default, ALL, override, machine, among=pool)
    fitting = [own for own in pool if sent.device in (own, own.partition(":")[0])]
    for own in fitting or pool:
        found = resolve_device(default, ALL, override, machine, among=[own])
        assert found.device == (own if fitting else "cpu")
        assert len(found.warnings) == len(sent.warnings)


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        (None, 3),
        ("0,1,2", 3),
        (" 2, 0 ", 2),
        ("1", 1),
        ("", 0),
        ("-1", 0),
        ("0,7,1", 1),
        ("0,1,0,2", 2),
        ("GPU-aa", 1),
        ("GPU-bb,GPU-aa1", 0),
        ("GPU-aa,GPU-bb2,GPU-bb", 2),
        ("MIG-123,MIG-456", 2),
        ("cuda:0", 0),
    ],
)
def test_the_gpus_that_are_visible_count(visible: str | None, count: int) -> None:
    """As CUDA sees them: up to the first that is not there, is not clear or comes for the second time."""
    listed = [("0", "GPU-aa1"), ("1", "GPU-bb1"), ("2", "GPU-bb2")]
    assert count_visible(listed, visible) == count
    assert count_visible([], visible) == 0


def test_pytorch_is_told_which_gpu_is_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is loaded, and for GPUs that have a number."""
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    bind_torch("cuda:1")
    chosen: list[int] = []
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(set_device=chosen.append)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    for device in ("cpu", "cuda", "cuda:2", "mps"):
        bind_torch(device)
    assert chosen == [2]


@pytest.mark.skipif(os.name != "posix", reason="the stand-in for nvidia-smi is a shell script")
@pytest.mark.parametrize(
    ("script", "count"),
    [
        ("printf '0, GPU-a\\n1, GPU-b\\n2, GPU-c\\n'", 3),
        ("printf '0\\n1\\n2\\n'", 3),
        ("echo 'No devices were found'", 0),
        ("exit 9", 0),
        ("echo garbage; exit 0", 0),
    ],
)
def test_gpus_are_counted_by_nvidia_smi(
    script: str, count: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the program prints or returns, the count is a number; it is asked once in a while only."""
    program = tmp_path / "nvidia-smi"
    program.write_text(f"#!/bin/sh\necho asked >> {tmp_path}/calls\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    probe = DeviceProbe()
    assert [probe.cuda_count(), probe.cuda_count()] == [count, count]
    assert (tmp_path / "calls").read_text() == "asked\n"
    assert DeviceProbe(visible="0,1").cuda_count() == min(count, 2)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2")
    assert DeviceProbe().cuda_count() == min(count, 1)
    assert DeviceProbe(visible="0,1").cuda_count() == min(count, 2)


def test_no_nvidia_smi_means_no_gpu(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine without the program has no GPU."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert DeviceProbe().cuda_count() == 0


def test_a_process_is_shown_the_gpus_that_are_wanted(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Numbered as `nvidia-smi` numbers them; nothing changes where nothing is wanted, and too late is said."""
    for name in ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"):
        monkeypatch.setenv(name, "")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    see_gpus(None)
    assert "CUDA_VISIBLE_DEVICES" not in os.environ
    see_gpus("1")
    assert (os.environ["CUDA_VISIBLE_DEVICES"], os.environ["CUDA_DEVICE_ORDER"]) == ("1", "PCI_BUS_ID")
    torch = types.ModuleType("torch")
    torch.cuda = types.SimpleNamespace(is_initialized=lambda: True)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torch", torch)
    see_gpus("1")
    assert caplog.records == []
    see_gpus("0")
    assert "too late" in caplog.text
