"""What the demo does, the same through an engine and through a client of a server."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np

from demo.subjects import PICTURES, Balls, Series, clean, drifting_tissue, noisy, scattered_balls

DENOISING = "template_denoising_algorithm"
SEGMENTATION = "template_segmentation_algorithm"
REGISTRATION = "template_registration_algorithm"
VOLUME = "template_volume_algorithm"
ALGORITHMS = (DENOISING, SEGMENTATION, REGISTRATION, VOLUME)

WEIGHTS = {"cell": 0.2}  # a smooth picture; the others get the algorithm's default


class Runs(Protocol):
    """Whatever runs algorithms: an engine, or a client of a server."""

    def run(self, algorithm: str, data: Any, *, progress: bool, **parameters: Any) -> Any:
        """Run an algorithm and return its outputs."""


@dataclass(frozen=True)
class Inputs:
    """What is worked on: noisy pictures by name, frames of drifting tissue, and a volume."""

    pictures: dict[str, np.ndarray]
    series: Series
    balls: Balls


@dataclass
class Played:
    """What came of all acts: outputs by name of the act, and the seconds that each took, data transfer included."""

    outputs: dict[str, Any] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)


def make_inputs() -> Inputs:
    """Return the inputs, the same each time."""
    pictures = {name: noisy(clean(name), seed) for seed, name in enumerate(PICTURES)}
    return Inputs(pictures, drifting_tissue(), scattered_balls())


def warm_up(place: Runs) -> None:
    """Run each algorithm once on something small, so that later times are those of the work and not of imports."""
    small = np.arange(4096, dtype=np.uint8).reshape(64, 64)
    for algorithm in ALGORITHMS:
        data = small.reshape(16, 16, 16) if algorithm == VOLUME else [small, small]
        place.run(algorithm, data, progress=False)


def play(place: Runs, inputs: Inputs) -> Played:
    """Denoise the pictures, segment the coins before and after that, register the frames, measure the volume."""
    played = Played()

    def act(name: str, algorithm: str, data: Any, **parameters: Any) -> Any:
        began = time.perf_counter()
        played.outputs[name] = place.run(algorithm, data, progress=False, **parameters)
        played.seconds[name] = time.perf_counter() - began
        return played.outputs[name]

    for name, picture in inputs.pictures.items():
        weight = {"denoising_weight": WEIGHTS[name]} if name in WEIGHTS else {}
        act(f"denoise {name}", DENOISING, picture, **weight)
    coins = np.asarray(played.outputs["denoise coins"])
    act("segment noisy coins", SEGMENTATION, inputs.pictures["coins"])
    act("segment coins", SEGMENTATION, coins, thresholding_algorithm="local")
    act("register tissue", REGISTRATION, inputs.series.frames)
    act("measure volume", VOLUME, inputs.balls.volume)
    return played


def differences(first: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    """Return the names under which two sets of outputs are not the same to the last bit."""
    names = list(dict.fromkeys([*first, *second]))
    return [name for name in names if not (name in first and name in second and same(first[name], second[name]))]


def same(first: Any, second: Any) -> bool:
    """Return whether two outputs are equal: arrays also in dtype and shape, dicts and lists in every entry."""
    if isinstance(first, np.ndarray) and isinstance(second, np.ndarray):
        return first.dtype == second.dtype and np.array_equal(first, second)
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(same(a, b) for a, b in zip(first, second, strict=True))
    return type(first) is type(second) and bool(first == second)
