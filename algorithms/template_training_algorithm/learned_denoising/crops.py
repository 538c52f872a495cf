"""What the network sees of the pictures: squares at random places to learn from, and fixed ones to judge it by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from learned_denoising.pictures import Picture, Region
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

MOST_JUDGED = 64  # crops

Place = tuple[int, int]  # the epoch, and the number of the crop in it


class Crops(Dataset[tuple[Tensor, Tensor]]):
    """Random crops (1, S, S), noisy and clean, turned and mirrored at random.

    A crop follows from the seed and its place alone: neither the number of worker processes nor an interruption
    changes what is learned from.
    """

    def __init__(self, pictures: Sequence[Picture], size: int, seed: int) -> None:
        self._pictures = pictures
        self._size = size
        self._seed = seed
        areas = np.array([picture.learned.height * picture.learned.width for picture in pictures], float)
        self._chances = areas / areas.sum()

    def __getitem__(self, place: Place) -> tuple[Tensor, Tensor]:
        rng = np.random.default_rng([self._seed, *place])
        picture = self._pictures[rng.choice(len(self._pictures), p=self._chances)]
        turns, mirrored = int(rng.integers(4)), bool(rng.integers(2))
        noisy, clean = (
            np.rot90(crop[:, ::-1] if mirrored else crop, turns)
            for crop in random_crop(picture, picture.learned, self._size, rng)
        )
        return _tensor(noisy), _tensor(clean)


class Places:
    """The places of the crops of each step, epoch after epoch."""

    def __init__(self, epochs: range, steps: int, batch: int) -> None:
        self._epochs, self._steps, self._batch = epochs, steps, batch

    def __len__(self) -> int:
        return len(self._epochs) * self._steps

    def __iter__(self) -> Iterator[list[Place]]:
        for epoch in self._epochs:
            for step in range(self._steps):
                yield [(epoch, step * self._batch + number) for number in range(self._batch)]


def batches(crops: Crops, places: Places, workers: int, start: str | None) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the crops of each step, (B, 1, S, S), read by so many worker processes; closing it ends these.

    Args:
        crops: The crops.
        places: Which of them, step by step.
        workers: How many processes read; 0 for this one.
        start: How they are started: `fork`, `spawn`, `forkserver`, or None for Python's way on this system.
    """
    yield from DataLoader(
        crops,
        batch_sampler=places,  # type: ignore[arg-type]  # lists of places, where PyTorch thinks of lists of numbers
        num_workers=workers,
        multiprocessing_context=start if workers else None,
        generator=torch.Generator().manual_seed(0),  # else it draws from the one that all threads share
    )


def judged_crops(pictures: Sequence[Picture], size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return crops (N, 1, S, S), noisy and clean, of what is kept aside, the same for the same seed."""
    rng = np.random.default_rng([seed])
    each = max(1, MOST_JUDGED // len(pictures))
    chosen = rng.permutation(len(pictures))[:MOST_JUDGED]
    crops = [random_crop(pictures[number], pictures[number].aside, size, rng) for number in chosen for _ in range(each)]
    noisy, clean = (torch.stack([_tensor(crop) for crop in side]) for side in zip(*crops, strict=True))
    return noisy, clean


def random_crop(picture: Picture, region: Region, size: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return a square (S, S) of a region, noisy and clean; mirrored at its edges where it is smaller than that."""
    top = region.top + int(rng.integers(max(region.height - size, 0) + 1))
    left = region.left + int(rng.integers(max(region.width - size, 0) + 1))
    height, width = min(size, region.height), min(size, region.width)
    noisy, clean = (
        np.pad(crop, ((0, size - height), (0, size - width)), mode="symmetric")
        for crop in picture.cut(top, left, height, width)
    )
    return noisy, clean


def _tensor(crop: np.ndarray) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(crop))[None]
