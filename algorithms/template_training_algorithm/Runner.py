"""Learns to remove noise from pairs of noisy and clean images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from learned_denoising.pictures import Picture, keep_pair
from learned_denoising.state import WEIGHTS, State, read_network, read_state
from learned_denoising.tiling import denoise_images
from learned_denoising.training import Plan, Report, train

from compox_core.data import ImageSchema
from compox_core.runners import Image2ImageRunner

NOISY, CLEAN = "input", "target"  # the keys of a sample


class Runner(Image2ImageRunner):
    """A small U-Net. Fetching and storing the images of a run is done by `Image2ImageRunner`."""

    def load_assets(self) -> None:
        """Load the network: as it was deployed, or as the checkpoint has it that the run names."""
        self.network = read_network(self.fetch_asset(WEIGHTS), self.device)

    def inference(self, images: np.ndarray, args: dict[str, Any]) -> np.ndarray:
        """Return the denoised images, of the same shape: (N, H, W), or (N, 3, H, W) for RGB."""
        return denoise_images(self.network, images, args["strength"], args["tile"], self.set_progress)

    def train(self, training_data: list[str], args: dict[str, Any]) -> None:
        """Train, and keep two checkpoints: the best one, and the last, to go on from."""
        plan = Plan.of(args)
        pictures = self._pictures(training_data, plan)
        state = read_state(self.fetch_asset, self.device, plan.seed)
        self.log_message(f"Learning from {len(pictures)} channels on {self.device}, from epoch {state.epoch} on.")
        kept = _Kept(self)
        for report in train(state, pictures, plan, self.set_progress):
            self.log_metrics(report.metrics, step=report.epoch)
            if report.loss is not None:
                kept.keep(state, report)

    def _pictures(self, training_data: list[str], plan: Plan) -> list[Picture]:
        """Fetch the samples to the local disk, and lay them out so that parts of them can be read, one at a time."""
        dataset = self.get_training_dataset(training_data)
        if set(dataset.get_sample_keys()) != {NOISY, CLEAN}:
            raise ValueError(
                f"A sample of this algorithm has the keys '{NOISY}' and '{CLEAN}', noisy images and the same without "
                f"noise; these have {', '.join(dataset.get_sample_keys())}."
            )
        local = self.download_dataset_to_temp_store(dataset, {NOISY: ImageSchema, CLEAN: ImageSchema})
        pictures: list[Picture] = []
        for sample_id, groups in zip(training_data, local, strict=True):
            for group in groups:
                if len(group[NOISY]) != len(group[CLEAN]):
                    raise ValueError(
                        f"Sample {sample_id} has {len(group[NOISY])} noisy and {len(group[CLEAN])} clean images."
                    )
                for pair in zip(group[NOISY], group[CLEAN], strict=True):
                    seed = [plan.seed, len(pictures)]
                    pictures += self._pair(pair, f"An image of sample {sample_id}", plan, seed)
        if not pictures:
            raise ValueError("There is nothing to learn from: all images of the samples are of one colour.")
        return pictures

    def _pair(self, files: tuple[Path, Path], name: str, plan: Plan, seed: list[int]) -> list[Picture]:
        noisy, clean = (item["image"] for item in self.load_files_from_temp_store(files, False, "image"))
        for file in files:
            file.unlink()  # so that no picture is on the disk twice
        return keep_pair(noisy, clean, files[0], plan.validation_share, seed, name)


class _Kept:
    """The checkpoints of a training: the best so far and the last one, which may be the same."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._best: tuple[str, float] | None = None
        self._last: str | None = None

    def keep(self, state: State, report: Report) -> None:
        """Save a checkpoint of an epoch, and delete those that are neither the best nor the last any more."""
        better = self._best is None or report.val_psnr > self._best[1]
        properties = {"epoch": report.epoch, "best": better, **report.metrics}
        saved = self._runner.save_checkpoint(state.assets(), properties)
        before = {each for each in (self._last, self._best and self._best[0]) if each}
        if better:
            self._best = (saved, report.val_psnr)
        self._last = saved
        for old in before - {self._last, self._best and self._best[0]}:
            self._runner.task_handler.delete_checkpoint(old)
