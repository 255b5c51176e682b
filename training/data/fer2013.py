"""FER2013 faces from the downloaded archive.

Grey images of 48×48 pixels in `Training/<class>/` and `PublicTest/<class>/`; seven classes, no "calm".
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.errors import DamagedMediaError

Part = Literal["Training", "PublicTest"]

LABEL_OF_CLASS: Final = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "neutral": "neutral",
    "sad": "sad",
    "surprise": "surprised",
}
"""The contract's label of each class of FER2013."""

FACE_SIDE: Final = 48
"""Height and width of a image, in pixels."""


_HELD_OUT_SHARE: Final = 0.05
_HELD_OUT_SEED: Final = 0


@dataclass(frozen=True)
class Faces:
    """Grey images of faces.

    Attributes:
        images: uint8 [N, 48, 48], grey.
        labels: int64 [N], indices into the contract's labels.
        names: Names of the images in the archive.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    names: list[str]


def read_faces(archive: Path, part: Part) -> Faces:
    """Read one part of the archive.

    Args:
        archive: `fer2013.zip`.
        part: `Training` (28,709 images) or `PublicTest` (3,589).

    Raises:
        DamagedMediaError: An image cannot be read, or the part is empty.
    """
    images, labels, names = [], [], []
    with zipfile.ZipFile(archive) as files:
        for name in sorted(files.namelist()):
            parts = name.split("/")
            if len(parts) != 3 or parts[0] != part or parts[1] not in LABEL_OF_CLASS:
                continue
            image = cv2.imdecode(np.frombuffer(files.read(name), np.uint8), cv2.IMREAD_GRAYSCALE)
            if image is None or image.shape != (FACE_SIDE, FACE_SIDE):
                raise DamagedMediaError(f"{archive}: {name} is not an image of {FACE_SIDE}×{FACE_SIDE} pixels.")
            images.append(image.astype(np.uint8))
            labels.append(LABELS.index(LABEL_OF_CLASS[parts[1]]))
            names.append(name)
    if not names:
        raise DamagedMediaError(f"{archive} has no images in {part}/<class>/.")
    return Faces(np.stack(images), np.array(labels, np.int64), names)


def read_parts(archive: Path) -> tuple[Faces, Faces, Faces]:
    """Read training, validation and test faces; no image is in two of these parts.

    Test faces are PublicTest. Training faces exclude exact copies of images in PublicTest. A share of them is held out
    for validation, with copies of one image together: the archive repeats images within and across parts.

    Raises:
        DamagedMediaError: The archive has no faces.
    """
    test = read_faces(archive, "PublicTest")
    known = {image.tobytes() for image in test.images}
    faces = read_faces(archive, "Training")
    faces = _subset(faces, np.array([image.tobytes() not in known for image in faces.images]))
    return *_hold_out(faces), test


def _hold_out(faces: Faces) -> tuple[Faces, Faces]:
    """Split faces into kept and held-out ones, at random by distinct image."""
    images = [image.tobytes() for image in faces.images]
    distinct = sorted(set(images))
    chosen = np.random.default_rng(_HELD_OUT_SEED).permutation(len(distinct))[: int(len(distinct) * _HELD_OUT_SHARE)]
    held_out = {distinct[i] for i in chosen}
    mask = np.array([image in held_out for image in images])
    return _subset(faces, ~mask), _subset(faces, mask)


def _subset(faces: Faces, mask: npt.NDArray[np.bool_]) -> Faces:
    names = [name for name, chosen in zip(faces.names, mask, strict=True) if chosen]
    return Faces(faces.images[mask], faces.labels[mask], names)
