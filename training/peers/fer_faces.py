"""Classify faces with the package `fer`: python fer_faces.py FACES.raw SIDE PROBABILITIES.json.

Uses the package's default network, mini-XCEPTION quantised for TensorFlow Lite, and its own preprocessing: grey, 64×64
pixels, scaled to [-1, 1]. By default `fer` extends a face's box by 10 pixels on each side, and pads the image with one
grey value for that. A crop has nothing beyond its border, so the extension is set to 0 here.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from fer.fer import FER

_LABELS: Final = {
    "angry": "angry",
    "disgust": "disgust",
    "fear": "fearful",
    "happy": "happy",
    "sad": "sad",
    "surprise": "surprised",
    "neutral": "neutral",
}
"""Our labels by those of the package, in the order of its network's outputs."""


def classify(faces: npt.NDArray[np.uint8]) -> list[list[float]]:
    """Return the probabilities of each RGB face, in the order of `_LABELS`."""
    detector = FER(offsets=(0, 0))
    network = detector._classify_emotions
    rows: list[list[float]] = []

    def network_and_keep(prepared: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        # `detect_emotions` rounds to two decimals, which makes equal the classes that a confident network rules out.
        probabilities: npt.NDArray[np.float32] = network(prepared)
        rows.extend(probabilities.tolist())
        return probabilities

    detector._classify_emotions = network_and_keep
    side = faces.shape[1]
    for face in faces:
        answers = detector.detect_emotions(np.ascontiguousarray(face[..., ::-1]), face_rectangles=[(0, 0, side, side)])
        if [list(answer["emotions"]) for answer in answers] != [list(_LABELS)]:
            raise ValueError(f"fer's answer is {answers}; expected the emotions {', '.join(_LABELS)} of one face.")
    return rows


if __name__ == "__main__":
    source, given_side, target = sys.argv[1:]
    crops = np.fromfile(source, np.uint8).reshape(-1, int(given_side), int(given_side), 3)
    answer = {
        "package": f"fer {version('fer')}",
        "labels": list(_LABELS.values()),
        "probabilities": classify(crops),
    }
    Path(target).write_text(json.dumps(answer))
