"""Faces for voices: audio-visual samples out of separate sources, for want of real pairs.

A voice of an emotion gets a face of the same emotion. No sample shows one person, so nothing that only a pair can
show, such as lips that match the words, can be learned from them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import LABELS
from training.data.cache import FaceStore
from training.data.fer2013 import read_parts

TRAINING, VALIDATION, TEST = range(3)

FACES_OF_LABEL: Final = {label: "neutral" if label == "calm" else label for label in LABELS}
"""FER2013 has no calm faces; calm voices get neutral ones."""


def face_store(archive: Path) -> FaceStore:
    """Faces of FER2013 with the part each belongs to, the same parts as in `training.pretrain_faces`.

    Raises:
        DamagedMediaError: The archive holds no faces.
    """
    parts = read_parts(archive)
    return FaceStore(
        np.concatenate([faces.pictures for faces in parts]),
        np.concatenate([faces.labels for faces in parts]),
        np.repeat((TRAINING, VALIDATION, TEST), [len(faces.labels) for faces in parts]),
    )


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
