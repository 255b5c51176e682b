"""The first convolution on pixels as they come: INT8 models take normalisation into its weights, and training back out.

(p - mean) / std, convolved with w, is p - `ZERO_POINT` convolved with w / std, and a bias; beyond a picture's edge the
one sees the mean colour and the other the mean grey.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import IMAGENET_MEAN, IMAGENET_STD

ZERO_POINT: Final = round(255 * sum(IMAGENET_MEAN) / len(IMAGENET_MEAN))
"""Pixel value that counts as 0: the grey of ImageNet's mean colour."""

PREFIX: Final = "pixels."
"""What the names of such weights in an ONNX file begin with, as they must not be taken for the network's own."""

WEIGHT: Final = f"{PREFIX}conv1.weight"
BIAS: Final = f"{PREFIX}conv1.bias"

FloatArray = npt.NDArray[np.floating[Any]]

MEAN: Final = 255 * np.array(IMAGENET_MEAN)
STD: Final = 255 * np.array(IMAGENET_STD)


def to_pixels(weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Weights [64, 3, 7, 7] and bias [64] for pixels less `ZERO_POINT`, from those for normalised pixels."""
    scaled = weight / STD[:, None, None]
    return scaled, bias - _shift(scaled)


def from_pixels(weight: FloatArray, bias: FloatArray) -> tuple[FloatArray, FloatArray]:
    """The reverse of `to_pixels`."""
    return weight * STD[:, None, None], bias + _shift(weight)


def _shift(scaled: FloatArray) -> FloatArray:
    shift: FloatArray = (scaled * (MEAN - ZERO_POINT)[:, None, None]).sum(axis=(1, 2, 3))
    return shift
