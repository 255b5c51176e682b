"""The step from the contract's pixels to what the video branch reads, the same in training and in the graph."""

from __future__ import annotations

import torch
from torch import Tensor

from preprocessing.contract import IMAGENET_MEAN, IMAGENET_STD


def normalise_frames(frames: Tensor) -> Tensor:
    """Scale pixels to [0, 1], subtract ImageNet's mean, divide by its standard deviation, move channels forward.

    Args:
        frames: RGB [..., height, width, 3] in 0 to 255, uint8 or floating point.

    Returns:
        float32 [..., 3, height, width].
    """
    mean = torch.tensor(IMAGENET_MEAN, dtype=torch.float32, device=frames.device)
    std = torch.tensor(IMAGENET_STD, dtype=torch.float32, device=frames.device)
    scaled = (frames.to(torch.float32) / 255.0 - mean) / std
    return scaled.movedim(-1, -3)
