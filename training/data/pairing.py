"""Faces for voices: audio-visual samples out of separate sources, for want of real pairs.

A voice of an emotion gets a face of the same emotion. No sample shows one person, so nothing that only a pair can
show, such as lips that match the words, can be learned from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from preprocessing.contract import LABELS
from training.data.cache import FaceStore
from training.data.fer2013 import read_faces

TRAINING, VALIDATION, TEST = range(3)

FACES_OF_LABEL: Final = {label: "neutral" if label == "calm" else label for label in LABELS}
"""FER2013 has no calm faces; calm voices get neutral ones."""

HELD_OUT_SHARE: Final = 0.05
HELD_OUT_SEED: Final = 0
"""Which training pictures are validation pictures: those that `training.pretrain_faces` leaves out."""


def face_store(archive: Path) -> FaceStore:
    """Faces of FER2013 with the part each belongs to.

    Test faces are PublicTest, validation faces a held-out share of Training. The data set repeats pictures, also
    across its parts: a picture that is also a training picture is neither validated nor tested on.

    Raises:
        DamagedMediaError: The archive holds no faces.
    """
    training, test = read_faces(archive, "Training"), read_faces(archive, "PublicTest")
    parts = np.full(len(training.labels), TRAINING)
    order = np.random.default_rng(HELD_OUT_SEED).permutation(len(parts))
    parts[order[: int(len(order) * HELD_OUT_SHARE)]] = VALIDATION
    pictures = np.concatenate((training.pictures, test.pictures))
    labels = np.concatenate((training.labels, test.labels))
    parts = np.concatenate((parts, np.full(len(test.labels), TEST)))
    keep = first_part_only(pictures, parts)
    return FaceStore(pictures[keep], labels[keep], parts[keep].astype(np.int64))


def first_part_only(pictures: npt.NDArray[np.uint8], parts: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Bool [N]: false for a picture of which an earlier part has a byte-identical one."""
    contents = [picture.tobytes() for picture in pictures]
    earliest: dict[bytes, int] = {}
    for content, part in zip(contents, parts, strict=True):
        earliest[content] = min(int(part), earliest.get(content, int(part)))
    return np.array([earliest[content] == part for content, part in zip(contents, parts, strict=True)])


def matching_faces(faces: FaceStore, part: int) -> tuple[npt.NDArray[np.int64], ...]:
    """For each label, the faces of one part that a voice of that label may get.

    Raises:
        ValueError: A label has no face in this part.
    """
    matches = []
    for label in LABELS:
        wanted = LABELS.index(FACES_OF_LABEL[label])
        index = np.flatnonzero((faces.labels == wanted) & (faces.parts == part))
        if not len(index):
            raise ValueError(f"part {part} has no {FACES_OF_LABEL[label]} face for a {label} voice")
        matches.append(index)
    return tuple(matches)
