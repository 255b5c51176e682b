"""Weights of a first convolution that reads pixels directly, as INT8 models do, and the reverse for training.

(p - mean) / std convolved with w equals p - `ZERO_POINT` convolved with w / std, plus a bias. Only the padding differs:
mean colour in the first form, mean grey in the second.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import IMAGENET_MEAN, IMAGENET_STD

ZERO_POINT: Final = round(255 * sum(IMAGENET_MEAN) / len(IMAGENET_MEAN))
"""Pixel value that counts as 0: the grey of ImageNet's mean colour."""

PREFIX: Final = "pixels."
"""Prefix of the names of such weights in an ONNX file, to distinguish them from the network's own."""

WEIGHT: Final = f"{PREFIX}conv1.weight"
BIAS: Final = f"{PREFIX}conv1.bias"

FloatArray = npt.NDArray[np.floating[Any]]

MEAN: Final = 255 * np.array(IMAGENET_MEAN)
STD: Final = 255 * np.array(IMAGENET_STD)


def to_pixels(weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Convert weights [64, 3, 7, 7] and bias [64] for normalised pixels to those for pixels minus `ZERO_POINT`."""
    scaled = weight / STD[:, None, None]
    return scaled, bias - _shift(scaled)


def from_pixels(weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The reverse of `to_pixels`."""
    return weight * STD[:, None, None], bias + _shift(weight)


def _shift(scaled: FloatArray) -> FloatArray:
    shift: FloatArray = (scaled * (MEAN - ZERO_POINT)[:, None, None]).sum(axis=(1, 2, 3))
    return shift
