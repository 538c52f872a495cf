"""Where a training is: the network, its optimiser, the epoch; as the assets of a checkpoint, and back."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

import torch
from learned_denoising.unet import UNet
from torch.optim import AdamW

WEIGHTS, OPTIMIZER, TRAINING = "files/weights.pt", "files/optimizer.pt", "files/training.json"
WEIGHT_DECAY = 1e-4


@dataclass
class State:
    """A network in training. Epoch 0 is before the first; `schedule` are the epochs from which and to which the
    learning rate rises and falls."""

    network: UNet
    optimizer: AdamW
    epoch: int
    schedule: tuple[int, int]

    def assets(self) -> dict[str, bytes]:
        """Return what `read_state` goes on from."""
        weights = {name: tensor.cpu() for name, tensor in self.network.state_dict().items()}
        told = {"epoch": self.epoch, "schedule": self.schedule}
        return {
            WEIGHTS: _bytes(weights),
            OPTIMIZER: _bytes(self.optimizer.state_dict()),
            TRAINING: json.dumps(told).encode(),
        }


def read_state(fetch: Callable[[str], BinaryIO], device: str, seed: int) -> State:
    """Return the state that is in the assets, on a device.

    The assets of an untrained algorithm say epoch 0; what its network then begins with follows from the seed.
    """
    told = json.load(fetch(TRAINING))
    network = read_network(fetch(WEIGHTS), device) if told["epoch"] else UNet().draw(seed).to(device)
    optimizer = AdamW(network.parameters(), weight_decay=WEIGHT_DECAY)
    if told["epoch"]:
        optimizer.load_state_dict(_read(fetch(OPTIMIZER), "cpu"))
    first, last = told["schedule"]
    return State(network, optimizer, told["epoch"], (first, last))


def read_network(file: BinaryIO, device: str) -> UNet:
    """Return the network whose weights a file holds, on a device."""
    network = UNet()
    network.load_state_dict(_read(file, "cpu"))
    return network.to(device)


def untrained() -> State:
    """Return the state that the algorithm is shipped with: weights of zero, with which images come back as they are."""
    network = UNet()
    for weights in network.parameters():
        torch.nn.init.zeros_(weights)
    return State(network, AdamW(network.parameters(), weight_decay=WEIGHT_DECAY), 0, (0, 0))


def _read(file: BinaryIO, device: str) -> Any:
    # No pickled objects: a checkpoint may come from anywhere.
    return torch.load(file, map_location=device, weights_only=True)


def _bytes(values: Any) -> bytes:
    file = io.BytesIO()
    torch.save(values, file)
    return file.getvalue()
