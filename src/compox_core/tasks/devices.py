"""Which device a run gets."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)

CUDA_INDEX = re.compile(r"cuda:(\d+)")
VISIBLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


class DeviceProbe:
    """Finds out what accelerators this machine has, and remembers it for a while.

    `visible` says which NVIDIA GPUs are to be used, as the variable CUDA_VISIBLE_DEVICES does: by their indices in
    what `nvidia-smi` lists, or their ids, `""` for none. None leaves it to that variable.
    """

    def __init__(self, keep_seconds: float = 60.0, visible: str | None = None) -> None:
        self._keep_seconds = keep_seconds
        self._visible = visible
        self._lock = threading.Lock()
        self._cuda: int | None = None
        self._asked = 0.0

    def cuda_count(self) -> int:
        """Return how many NVIDIA GPUs there are to use; 0 where `nvidia-smi` lists none or does not answer."""
        with self._lock:
            if self._cuda is None or time.monotonic() - self._asked > self._keep_seconds:
                visible = os.environ.get(VISIBLE) if self._visible is None else self._visible
                self._cuda = count_visible(self._ask_nvidia_smi(), visible)
                self._asked = time.monotonic()
            return self._cuda

    def has_mps(self) -> bool:
        """Return whether PyTorch can use Apple's GPU here; imports torch on a Mac only."""
        if sys.platform != "darwin":
            return False
        try:
            import torch
        except ImportError:
            return False
        return bool(torch.backends.mps.is_available())

    def _ask_nvidia_smi(self) -> list[tuple[str, str]]:
        """Return the index and the id of each GPU."""
        try:
            answer = subprocess.run(
                ["nvidia-smi", "--query-gpu=index,uuid", "--format=csv,noheader"],
                capture_output=True,
                text=True,
                timeout=10,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return []
        lines = [line.partition(",") for line in answer.stdout.splitlines()]
        return [(index.strip(), uuid.strip()) for index, _, uuid in lines if index.strip().isdigit()]


def count_visible(listed: Sequence[tuple[str, str]], visible: str | None) -> int:
    """Return how many of the GPUs listed by index and id a CUDA program sees, by its CUDA_VISIBLE_DEVICES.

    It sees those up to the first word that names none, or one for the second time. Ids may be shortened. Parts of a
    GPU (MIG) are not listed, and believed.
    """
    if visible is None:
        return len(listed)
    seen: set[str] = set()
    for word in visible.split(","):
        name = word.strip()
        found = {name} if name.startswith("MIG-") and listed else _named(listed, name)
        if len(found) != 1 or found <= seen:
            break
        seen |= found
    return len(seen)


def _named(listed: Sequence[tuple[str, str]], name: str) -> set[str]:
    return {index for index, uuid in listed if name == index or (name.startswith("GPU-") and uuid.startswith(name))}


def cuda_environment(visible: str | None) -> dict[str, str]:
    """Return the variables by which a process sees the GPUs that are wanted, numbered as `nvidia-smi` does it."""
    if visible is None:
        return {}
    return {VISIBLE: visible, ORDER: os.environ.get(ORDER, "PCI_BUS_ID")}


def see_gpus(visible: str | None) -> None:
    """Have this process see the GPUs that are wanted, unless it has begun to use others; None changes nothing."""
    wanted = cuda_environment(visible)
    torch = sys.modules.get("torch")
    if any(os.environ.get(name) != value for name, value in wanted.items()):
        if torch is not None and torch.cuda.is_initialized():
            logger.warning(
                "PyTorch uses GPUs in this process already: inference.cuda_visible_devices (%s) comes too late for it.",
                visible,
            )
        os.environ.update(wanted)


def bind_torch(device: str) -> None:
    """Make `cuda:N` the GPU that PyTorch uses where code says `cuda` alone, if PyTorch is loaded; else do nothing."""
    index = CUDA_INDEX.fullmatch(device)
    torch = sys.modules.get("torch")
    if index and torch is not None:
        torch.cuda.set_device(int(index.group(1)))


@dataclass(frozen=True)
class Resolution:
    """A runtime device (`cpu`, `cuda`, `cuda:N`, `mps`), and what the user is to be told about the choice."""

    device: str
    warnings: list[str] = field(default_factory=list)


def resolve_device(
    default: str,
    supported: Sequence[str],
    override: str | None,
    probe: DeviceProbe,
    allowed: str = "cuda",
    among: Sequence[str] | None = None,
) -> Resolution:
    """Choose the runtime device of a run.

    Args:
        default: The algorithm's default device: `cpu`, `gpu` or `mps`.
        supported: The devices that it supports.
        override: What the request asks for: `cpu`, `gpu` (or `cuda`), `cuda:N`, `mps`, in any case; None and "" mean
            no wish. An override that is unsupported or not there falls back to the default, with a warning.
        probe: Tells what the machine has.
        allowed: The setting `inference.device`: `cpu` allows the processor alone, `mps` no NVIDIA GPU.
        among: The runtime devices (`cuda:0`) that worker processes are for; None for all. A wish for `gpu` becomes
            `cuda:N` where one only is left; `cpu` can always be had.
    """
    wishes = [(override.strip().lower(), "The requested device")] if override else []
    warnings: list[str] = []
    for wish, who in [*wishes, (default, "The algorithm's default device")]:
        try:
            return Resolution(_device(wish, supported, probe, allowed, among), warnings)
        except _Refusal as refusal:
            warnings.append(f"{who} '{wish}' {refusal}")
    warnings.append("The run falls back to cpu.")
    return Resolution("cpu", warnings)


class _Refusal(Exception):
    """Why a wish cannot be met, as the end of a sentence."""


def _device(wish: str, supported: Sequence[str], probe: DeviceProbe, allowed: str, among: Sequence[str] | None) -> str:
    """Return the runtime device for one wish. Raises _Refusal."""
    index = CUDA_INDEX.fullmatch(wish)
    kind = "gpu" if wish == "cuda" or index else wish
    if kind not in ("cpu", "gpu", "mps"):
        raise _Refusal("is unknown: cpu, gpu, cuda:N and mps are known.")
    if kind not in [name.lower() for name in supported]:
        raise _Refusal(f"is not among those that the algorithm supports ({', '.join(supported)}).")
    if kind == "cpu":
        return "cpu"
    if allowed == "cpu" or (allowed == "mps" and kind == "gpu"):
        raise _Refusal(f"is not allowed here: inference.device is {allowed}.")
    offered = None if among is None else [device for device in among if _serves(device, wish)]
    if offered == []:
        raise _Refusal(
            f"is not available: this worker is for {', '.join(among or ())} (inference.backend_settings.workers)."
        )
    if kind == "mps":
        if probe.has_mps():
            return "mps"
        raise _Refusal("is not available on this machine.")
    return _cuda(index and int(index.group(1)), offered, probe.cuda_count())


def _serves(device: str, wish: str) -> bool:
    return device == wish or (wish in ("gpu", "cuda") and device.startswith("cuda:"))


def _cuda(index: int | None, offered: list[str] | None, count: int) -> str:
    if count == 0:
        raise _Refusal("is not available: nvidia-smi lists no GPU on this machine that may be used.")
    if offered is not None and index is None:
        numbers = [int(device.removeprefix("cuda:")) for device in offered]
        there = [number for number in numbers if number < count] or numbers[:1]
        index = there[0] if len(there) == 1 else None
    if index is not None and index >= count:
        raise _Refusal(f"is not available: this machine has {count} GPU(s) to use, numbered from 0.")
    return "cuda" if index is None else f"cuda:{index}"
