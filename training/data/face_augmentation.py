"""Augmentation of face images: detectors' boxes, cameras, light and codecs.

A network that is trained on one data set also learns how its images were made: grey, 48 pixels wide, cropped by one
detector. Images are augmented one by one on the CPU, because they differ in size.
"""

from __future__ import annotations

from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.frame import Square, UInt8Array

FloatArray = npt.NDArray[np.floating[Any]]

_LARGEST_TURN: Final = 20.0
"""Degrees. Heads are found up to 35, but seldom seen beyond 20."""

_SHIFT: Final = 0.05
"""Standard deviation of the centre of a detector's box, as a part of its side."""

_ZOOM: Final = 0.2
"""Largest change of the logarithm of a box's side: detectors differ by about a fifth in what they call a face."""

_STRETCH: Final = 0.06
"""Largest change of the logarithm of the ratio of height and width, as of anamorphic images and other lenses."""

_TINT: Final = 0.15
"""Largest change of a channel's brightness: most training faces are grey, served ones are in colour."""

_SMALLEST_FACE: Final = 24
"""Side of the smallest faces, in pixels: about 8 % of 360p, cropped."""


def crop(image: UInt8Array, square: Square, side: int) -> UInt8Array:
    """Crop an image as serving does.

    Args:
        image: uint8 [height, width] or [height, width, 3].
        square: The crop; it may reach beyond the image, whose edges are repeated.
        side: Height and width of the result, in pixels.

    Returns:
        uint8 [side, side, 3].
    """
    return _warped(image, _placed(square, side), side)


def random_crop(image: UInt8Array, square: Square, side: int, random: np.random.Generator) -> UInt8Array:
    """Crop a face as other detectors would, turned, and mirrored in half of the cases.

    Args:
        image: uint8 [height, width] or [height, width, 3].
        square: The crop of serving.
        side: Height and width of the result, in pixels.
        random: Source of the changes.

    Returns:
        uint8 [side, side, 3].
    """
    turn = np.deg2rad(np.clip(random.normal(0, _LARGEST_TURN / 2), -_LARGEST_TURN, _LARGEST_TURN))
    zoom, stretch = np.exp(random.uniform(-_ZOOM, _ZOOM)), np.exp(random.uniform(-_STRETCH, _STRETCH) / 2)
    mirror = -1 if random.random() < 0.5 else 1
    scale = np.array((mirror * zoom * stretch, zoom / stretch))
    rotation = np.array(((np.cos(turn), -np.sin(turn)), (np.sin(turn), np.cos(turn)))) * scale
    centre = (side - 1) / 2
    change = np.empty((2, 3))
    change[:, :2] = rotation
    change[:, 2] = centre - rotation @ (centre, centre) + side * np.clip(random.normal(0, _SHIFT, 2), -0.15, 0.15)
    placed = np.vstack((_placed(square, side), (0, 0, 1)))
    return _warped(image, change @ placed, side)


def augment(image: UInt8Array, random: np.random.Generator) -> UInt8Array:
    """Change resolution, sharpness, light, colour, noise and compression of an image, and cover a part of it.

    Args:
        image: uint8 [side, side, 3] RGB.
        random: Source of the changes.

    Returns:
        uint8 [side, side, 3].
    """
    side = image.shape[0]
    if random.random() < 0.3:
        image = _covered(image, random)
    if random.random() < 0.2:
        image = cv2.cvtColor(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB).astype(np.uint8)
    if random.random() < 0.4:
        few = int(random.uniform(min(_SMALLEST_FACE, side), side))
        small = cv2.resize(image, (few, few), interpolation=cv2.INTER_AREA)
        enlarging = cv2.INTER_LINEAR if random.random() < 0.5 else cv2.INTER_CUBIC
        image = cv2.resize(small, (side, side), interpolation=enlarging).astype(np.uint8)
    if random.random() < 0.2:
        image = cv2.GaussianBlur(image, (0, 0), random.uniform(0.3, 1.6) * side / 112).astype(np.uint8)
    if random.random() < 0.15:
        blurred = cv2.GaussianBlur(image, (0, 0), 1.5 * side / 112)
        image = cv2.addWeighted(image, 1.8, blurred, -0.8, 0).astype(np.uint8)
    image = _lit(image, random)
    if random.random() < 0.3:
        image = _side_lit(image, random)
    if random.random() < 0.3:
        noise = np.empty(image.shape, np.int16)
        cv2.setRNGSeed(int(random.integers(2**31)))
        cv2.randn(noise, 0, random.uniform(2, 12))
        image = cv2.add(image, noise, dtype=cv2.CV_8U).astype(np.uint8)
    if random.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(random.integers(20, 95))]
        _, compressed = cv2.imencode(".jpg", image, quality)
        image = np.asarray(cv2.imdecode(compressed, cv2.IMREAD_COLOR), np.uint8)
    return image


def _lit(image: UInt8Array, random: np.random.Generator) -> UInt8Array:
    """Another exposure, contrast and colour of light, by one table of values for each channel."""
    values = 255 * np.linspace(0, 1, 256) ** np.exp(random.uniform(-0.5, 0.5))
    mean = values[round(float(image.mean()))]
    values = (values - mean) * random.uniform(0.6, 1.3) + mean
    table = values[:, None] * random.uniform(1 - _TINT, 1 + _TINT, 3) + random.uniform(-35, 35)
    return np.asarray(cv2.LUT(image, np.clip(table, 0, 255).astype(np.uint8)[None]), np.uint8)


def _side_lit(image: UInt8Array, random: np.random.Generator) -> UInt8Array:
    """Light from one side, which falls off linearly across the image."""
    across = np.linspace(-1, 1, image.shape[0], dtype=np.float32)
    angle, strength = random.uniform(0, 2 * np.pi), random.uniform(0.1, 0.5)
    slope = 1 + strength * (np.cos(angle) * across + np.sin(angle) * across[:, None])
    light = cv2.cvtColor(slope.astype(np.float32), cv2.COLOR_GRAY2RGB)
    return np.asarray(cv2.multiply(image, light, dtype=cv2.CV_8U), np.uint8)


def _covered(image: UInt8Array, random: np.random.Generator) -> UInt8Array:
    """Random erasing (Zhong et al. 2017, arXiv 1708.04896): a rectangle of one colour, as of a hand or a microphone."""
    side = image.shape[0]
    height, width = (int(side * random.uniform(0.12, 0.45)) for _ in range(2))
    top, left = int(random.integers(side - height + 1)), int(random.integers(side - width + 1))
    covered = image.copy()
    covered[top : top + height, left : left + width] = random.integers(0, 256, 3)
    return covered


def _placed(square: Square, side: int) -> FloatArray:
    """Matrix [2, 3] that maps the square to an image of this side; pixel centres lie at halves."""
    scale = side / square.size
    return np.array(
        ((scale, 0, (0.5 - square.left) * scale - 0.5), (0, scale, (0.5 - square.top) * scale - 0.5)), np.float64
    )


def _warped(image: UInt8Array, matrix: FloatArray, side: int) -> UInt8Array:
    moved = cv2.warpAffine(image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    if moved.ndim == 2:
        moved = cv2.cvtColor(moved, cv2.COLOR_GRAY2RGB)
    return np.ascontiguousarray(moved).astype(np.uint8)
