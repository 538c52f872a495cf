"""A small U-Net that predicts the noise of an image.

Method: O. Ronneberger, P. Fischer, T. Brox, "U-Net: convolutional networks for biomedical image segmentation" (2015),
with what is learned added to the input (K. Zhang et al., "Beyond a Gaussian denoiser", 2017) and no normalisation.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 16  # channels of the finest level; each coarser one has twice as many
DEPTH = 2  # how often the image is halved


class UNet(nn.Module):
    """Images (N, 1, H, W), float32, to images of the same shape; H and W are multiples of `UNet.stride`.

    A network whose last layer is zero, as a fresh one's is, returns its input.
    """

    stride = 2**DEPTH
    # How far away a pixel can change another one: two convolutions of 3 x 3 at each level, down and up again.
    reach = sum(4 * 2**level for level in range(DEPTH)) + 2 * 2**DEPTH + stride

    def __init__(self) -> None:
        super().__init__()
        widths = [WIDTH * 2**level for level in range(DEPTH + 1)]
        self.down = nn.ModuleList(_block(before, width) for before, width in zip([1, *widths], widths, strict=False))
        self.up = nn.ModuleList(
            nn.ConvTranspose2d(2 * width, width, kernel_size=2, stride=2) for width in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_block(2 * width, width) for width in reversed(widths[:-1]))
        self.last = nn.Conv2d(WIDTH, 1, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Return the images without what the network takes for noise."""
        features, passed = images, []
        for level, block in enumerate(self.down):
            features = block(features if level == 0 else nn.functional.max_pool2d(features, 2))
            passed.append(features)
        passed.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([up(features), passed.pop()], dim=1))
        result: Tensor = images + self.last(features)
        return result

    def draw(self, seed: int) -> UNet:
        """Set the weights as they are before the first step, the same for the same seed, and return the network."""
        generator = torch.Generator().manual_seed(seed)  # the one that all threads share stays as it is
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.last.weight)
        return self


def _block(before: int, width: int) -> nn.Sequential:
    layers = [nn.Conv2d(before, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers)
