"""Finds, counts and measures the objects of volumes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from volume_analysis.objects import find_objects, measure_objects

from compox_core.data import VolumeSchema
from compox_core.runners import BaseRunner


class Runner(BaseRunner):
    """A Generic algorithm: it fetches and stores its data itself, by the schemas of `compox_core.data`."""

    def preprocess(self, input_data: dict[str, Any], args: dict[str, Any]) -> list[np.ndarray]:
        """Fetch the volumes, each (Z, Y, X); they may differ in shape and dtype."""
        items = self.fetch_data(input_data["input_dataset_ids"], VolumeSchema, "volume")
        return [item["volume"] for item in items]

    def inference(self, volumes: list[np.ndarray], args: dict[str, Any]) -> list[dict[str, Any]]:
        """Return for each volume its labels, (Z, Y, X) int32, and what was measured, as JSON."""
        results = []
        for number, volume in enumerate(volumes):
            labels = find_objects(volume, args["smoothing"], args["smallest_object"], args["connectivity"])
            self.set_progress((number + 0.5) / len(volumes))
            stats = measure_objects(labels, volume)
            self.log_message(f"Volume {number + 1}: {stats['object_count']} objects.")
            results.append({"volume": labels, "stats": json.dumps(stats)})
            self.set_progress((number + 1) / len(volumes))
        return results

    def postprocess(self, results: list[dict[str, Any]], args: dict[str, Any]) -> list[str]:
        """Store one file for each volume."""
        return self.post_data(results, VolumeSchema)
