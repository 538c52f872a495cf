"""The training loop: steps on random crops, and after each epoch a judgement on crops that it never learned from."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from learned_denoising.crops import Crops, Places, batches, judged_crops
from learned_denoising.pictures import Picture
from learned_denoising.state import State
from learned_denoising.unet import UNet
from torch import Tensor
from torch.nn.functional import l1_loss, mse_loss

WARM_UP = 0.1  # the part of a schedule in which the learning rate rises
LOWEST = 0.01  # the part of the learning rate that a schedule begins and ends with
JUDGED_AT_ONCE = 16


@dataclass(frozen=True)
class Plan:
    """How to train; the names are those of the algorithm's parameters."""

    epochs: int
    steps_per_epoch: int
    batch_size: int
    crop_size: int
    learning_rate: float
    validation_share: float
    seed: int
    num_workers: int
    worker_start: str
    num_threads: int

    @classmethod
    def of(cls, args: Mapping[str, Any]) -> Plan:
        """Return the plan in the parameters of a training. Crops get sides that the network can halve."""
        plan = {name: args[name] for name in cls.__dataclass_fields__}
        return cls(**{**plan, "crop_size": -(-plan["crop_size"] // UNet.stride) * UNet.stride})


@dataclass(frozen=True)
class Report:
    """What came of an epoch: the mean error of its steps (None before the first), and the error and the peak
    signal-to-noise ratio in dB on crops kept aside; all on the scale of the noisy pictures, whose range is 1."""

    epoch: int
    loss: float | None
    val_loss: float
    val_psnr: float

    @property
    def metrics(self) -> dict[str, float]:
        """The figures by name."""
        known = {} if self.loss is None else {"loss": self.loss}
        return {**known, "val_loss": self.val_loss, "val_psnr": self.val_psnr}


def train(
    state: State, pictures: Sequence[Picture], plan: Plan, report: Callable[[float], None] = lambda fraction: None
) -> Iterator[Report]:
    """Train and yield a report before the first epoch and after each; `state` is then as that epoch left it.

    A state that is in the middle of a schedule of `plan.epochs` epochs finishes that. Any other begins a new one.

    Args:
        state: What to train; it is changed.
        pictures: What to learn from.
        plan: How.
        report: Called after each step with the fraction that is done; what it raises ends the training.

    Raises:
        ValueError: when the error is not finite any more.
    """
    first, last = state.schedule
    if not (first < state.epoch < last and last - first == plan.epochs):
        state.schedule = (state.epoch, state.epoch + plan.epochs)
    with threads(plan.num_threads):
        yield from _epochs(state, pictures, plan, report)


def _epochs(state: State, pictures: Sequence[Picture], plan: Plan, report: Callable[[float], None]) -> Iterator[Report]:
    first, last = state.schedule
    device = next(state.network.parameters()).device
    judged = judged_crops(pictures, plan.crop_size, plan.seed)
    yield Report(state.epoch, None, *judge(state.network, *judged))
    crops = Crops(pictures, plan.crop_size, plan.seed)
    places = Places(range(state.epoch, last), plan.steps_per_epoch, plan.batch_size)
    start = None if plan.worker_start == "default" else plan.worker_start
    done = 0
    with closing(batches(crops, places, plan.num_workers, start)) as steps:
        while state.epoch < last:
            total = 0.0
            for step in range(plan.steps_per_epoch):
                part = (state.epoch - first + step / plan.steps_per_epoch) / plan.epochs
                noisy, clean = (crop.to(device) for crop in next(steps))
                error = _step(state, noisy, clean, learning_rate(plan.learning_rate, part))
                if not math.isfinite(error):
                    raise ValueError(
                        f"The error is {error} at step {step + 1} of epoch {state.epoch + 1}: train with a "
                        f"learning_rate below {plan.learning_rate:g}."
                    )
                total += error
                done += 1
                report(done / len(places))
            state.epoch += 1
            yield Report(state.epoch, total / plan.steps_per_epoch, *judge(state.network, *judged))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch compute with so many threads; 0 changes nothing."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def learning_rate(highest: float, part: float) -> float:
    """Return the learning rate at a part of the schedule, in [0, 1): a straight rise, then a falling half cosine."""
    if part < WARM_UP:
        return highest * (LOWEST + (1 - LOWEST) * part / WARM_UP)
    fall = (part - WARM_UP) / (1 - WARM_UP)
    return highest * (LOWEST + (1 - LOWEST) * (1 + math.cos(math.pi * fall)) / 2)


def _step(state: State, noisy: Tensor, clean: Tensor, rate: float) -> float:
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    # On a GPU the fastest ways to sum are those that sum in any order, so that no two trainings would agree.
    with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
        error = l1_loss(state.network(noisy), clean)
        state.optimizer.zero_grad()
        error.backward()
    state.optimizer.step()
    return error.item()


def judge(network: UNet, noisy: Tensor, clean: Tensor) -> tuple[float, float]:
    """Return the mean absolute error on crops, and the peak signal-to-noise ratio in dB, for a range of 1."""
    device = next(network.parameters()).device
    sums = torch.zeros(2, dtype=torch.float64)
    with torch.inference_mode():
        for some, truth in zip(noisy.split(JUDGED_AT_ONCE), clean.split(JUDGED_AT_ONCE), strict=True):
            result = network(some.to(device)).cpu()
            sums += torch.tensor([l1_loss(result, truth), mse_loss(result, truth)]) * len(some)
    error, square = (sums / len(noisy)).tolist()
    return error, -10 * math.log10(max(square, 1e-12))
