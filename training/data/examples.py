"""Examples of what is there and what is not, for the parts of a network that tell the two apart."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

UNSEEN_SHARE: Final = 4
"""One of so many files is measured on, and not trained on."""


@dataclass
class Examples:
    """Inputs of the face head or of the voice detector.

    Attributes:
        inputs: Waveforms float32 [48000], or crops uint8 [112, 112, 3].
        kinds: What each is, for the report.
    """

    inputs: list[npt.NDArray[Any]] = field(default_factory=list)
    _positive: list[bool] = field(default_factory=list)
    _training: list[bool] = field(default_factory=list)
    kinds: list[str] = field(default_factory=list)

    @property
    def positive(self) -> npt.NDArray[np.bool_]:
        """Bool [N]: whether there is a voice, or a face."""
        return np.array(self._positive, np.bool_)

    @property
    def training(self) -> npt.NDArray[np.bool_]:
        """Bool [N]: whether the example is trained on."""
        return np.array(self._training, np.bool_)

    def add(self, example: npt.NDArray[Any], kind: str, *, positive: bool, training: bool) -> None:
        """Add one example."""
        self.inputs.append(example)
        self._positive.append(positive)
        self._training.append(training)
        self.kinds.append(kind)


def is_unseen(name: str) -> bool:
    """Whether a file of this name is measured on: the same in each run."""
    return zlib.crc32(name.encode()) % UNSEEN_SHARE == 0
