"""Eight frames from one image of a face, with small smooth motion as of a speaking face."""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import FRAME_COUNT, FRAME_SIZE, FRAMES

_LARGEST_SHIFT: Final = 0.03
"""Share of the frame's side."""

_LARGEST_TURN: Final = 3.0
"""Degrees."""

_LARGEST_ZOOM: Final = 0.04


def moving_face(image: npt.NDArray[np.uint8], random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Make frames of a face under small smooth motion.

    Args:
        image: uint8 [48, 48], grey.
        random: Source of the motion.

    Returns:
        uint8 [8, 112, 112, 3], the three channels equal.
    """
    scale = FRAME_SIZE / image.shape[0]
    centre = (FRAME_SIZE - 1) / 2
    frames = np.empty(FRAMES.shape, np.uint8)
    for index, (right, down, turn, zoom) in enumerate(_path(random)):
        matrix = cv2.getRotationMatrix2D((centre, centre), _LARGEST_TURN * turn, 1 + _LARGEST_ZOOM * zoom)
        matrix[:, 2] += FRAME_SIZE * _LARGEST_SHIFT * np.array((right, down))
        # Pixel centres lie at halves: enlarging alone would shift the image.
        enlarge = np.array(((scale, 0, (scale - 1) / 2), (0, scale, (scale - 1) / 2), (0, 0, 1)))
        moved = cv2.warpAffine(
            image, matrix @ enlarge, (FRAME_SIZE, FRAME_SIZE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        frames[index] = moved[:, :, None]
    return frames


def _path(random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Smooth motion [8, 4] in [-1, 1]: shift right, shift down, turn and zoom, each a part of a sine."""
    time = np.linspace(0, 1, FRAME_COUNT)[:, None]
    swings = random.uniform(0.25, 0.75, 4)
    phase = random.uniform(0, 2 * np.pi, 4)
    return np.asarray(random.uniform(-1, 1, 4) * np.sin(2 * np.pi * swings * time + phase))
