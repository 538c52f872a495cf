"""A learner, and a store with it, for commands that train."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

import compox_core as cx
from tests.engine.authors import write_algorithm

LEARNER = """
import json
import time

import numpy as np
from compox_core.data import ImageSchema, SegmentationSchema
from compox_core.runners import Image2SegmentationRunner


class Runner(Image2SegmentationRunner):
    def load_assets(self):
        self.level = json.load(self.fetch_asset("files/level.json"))["level"]

    def inference(self, images, args):
        return images > self.level

    def train(self, training_data, args):
        print("learning", len(training_data))
        dataset = self.get_training_dataset(training_data)
        local = self.download_dataset_to_temp_store(dataset, {"input": ImageSchema, "target": SegmentationSchema})
        samples = self.load_dataset_from_temp_store(local)
        level = float(np.mean([group["input"]["image"].mean() for sample in samples for group in sample]))
        for epoch in range(args["epochs"]):
            self.set_progress((epoch + 1) / args["epochs"])
            self.log_metrics({"loss": 1 / (epoch + 1)}, step=epoch)
            content = json.dumps({"level": level + epoch}).encode()
            self.save_checkpoint({"files/level.json": content}, {"epoch": epoch})
        if args["then"] == "fail":
            raise ValueError("no more")
        while args["then"] == "wait":
            open("started", "w").close()
            time.sleep(0.01)
"""

PARAMETERS = """
[[tool.compox.training_parameters]]
name = "epochs"
description = "How often."
config = { type = "int_range", default = 2, min = 0, max = 100, step = 1 }

[[tool.compox.training_parameters]]
name = "then"
description = "What happens at the end."
config = { type = "string_enum", default = "end", options = ["end", "fail", "wait"] }
"""


def write_learner(folder: Path) -> Path:
    """Write an algorithm that learns a level from images and masks, and return its folder."""
    return write_algorithm(
        folder, LEARNER, name="learner", kind="Image2Segmentation", extra=PARAMETERS,
        files={"files/level.json": '{"level": 1e9}'},
    )  # fmt: skip


def learning_store(home: Path) -> Path:
    """Return a store with the learner, beside `image.tif` (16 x 16, from 0 to 255) and `mask.tif`."""
    image = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tifffile.imwrite(home / "image.tif", image)
    tifffile.imwrite(home / "mask.tif", (image > 127).astype(np.uint8))
    with cx.Engine(home / "learning") as engine:
        engine.deploy(write_learner(home / "learner"))
    return home / "learning"
