"""What the outputs are worth, judged against the truth, line by line."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from demo.acts import Inputs, Played
from demo.judge import found_objects, iou, psnr, shift_errors
from demo.subjects import clean, coins_reference

SMALLEST_GAIN = 5.0  # decibels
SMALLEST_OVERLAP = 0.85
LARGEST_SHIFT_ERROR = 0.1  # pixels
NEAR = 0.5  # voxels


@dataclass(frozen=True)
class Verdict:
    """One line of the table: which act, what was measured, its value before and after, and whether that is enough."""

    act: str
    measure: str
    before: str
    after: str
    good: bool

    def __str__(self) -> str:
        return f"{self.measure} {self.before} -> {self.after}" if self.before else f"{self.measure} {self.after}"


def judge(inputs: Inputs, played: Played) -> list[Verdict]:
    """Return a verdict on each act, in the order of the acts."""
    return [
        *(_denoised(name, picture, played) for name, picture in inputs.pictures.items()),
        *_segmented(played),
        _registered(inputs, played),
        _measured(inputs, played),
    ]


def _denoised(name: str, picture: np.ndarray, played: Played) -> Verdict:
    truth = clean(name)
    act = f"denoise {name}"
    before, after = psnr(truth, picture), psnr(truth, played.outputs[act])
    return Verdict(act, "PSNR", f"{before:.1f}", f"{after:.1f} dB", after - before > SMALLEST_GAIN)


def _segmented(played: Played) -> list[Verdict]:
    reference = coins_reference()
    noisy, mask = played.outputs["segment noisy coins"], played.outputs["segment coins"]
    before, after = iou(noisy, reference), iou(mask, reference)
    found, count = found_objects(mask, reference)
    few, _ = found_objects(noisy, reference)
    good = after > max(SMALLEST_OVERLAP, before)
    return [
        Verdict("segment noisy coins", "IoU", "", f"{before:.2f}, {few} of {count}", True),
        Verdict("segment coins", "IoU", f"{before:.2f}", f"{after:.2f}, {found} of {count}", good),
    ]


def _registered(inputs: Inputs, played: Played) -> Verdict:
    act = "register tissue"
    places = inputs.series.places
    drift, error = (max(shift_errors(m, places)) for m in ([np.eye(3)] * (len(places) - 1), played.outputs[act]))
    return Verdict(act, "error", f"{drift:.1f}", f"{error:.2f} px", error < LARGEST_SHIFT_ERROR)


def _measured(inputs: Inputs, played: Played) -> Verdict:
    act = "measure volume"
    things = json.loads(played.outputs[act]["stats"])["objects"]
    centres = np.array([thing["centroid"] for thing in things]).reshape(-1, 3)
    distances = np.linalg.norm(inputs.balls.centres[:, None] - centres, axis=2)
    hits = int((distances.min(axis=1) < NEAR).sum()) if len(things) else 0
    count = len(inputs.balls.centres)
    return Verdict(act, "objects", "", f"{hits} of {count}", hits == count == len(things))
