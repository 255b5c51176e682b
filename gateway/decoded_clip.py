"""What leaves a decode worker of a clip: what the model and the answer need, in a form that travels fast.

Decoding leaves the processor's caches full of video. Objects and arrays, which a pickle takes apart and makes again in
many small steps, then take several times as long as plain bytes and numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.clip import Clip
from avemotion.preprocessing.contract import FRAMES, LOG_MEL, PRESENT, TensorSpec


class DecodedClip(NamedTuple):
    """One clip.

    Attributes:
        frames: Bytes of the contract's frames.
        log_mel: Bytes of the contract's log-mel spectrogram.
        present: Is there video, is there audio.
        missing: For each modality that is missing, why.
        face: Where the face is, by side; None where none was found or looked for.
        quality: How well the window could be seen and heard.
    """

    frames: bytes
    log_mel: bytes
    present: list[bool]
    missing: dict[str, str]
    face: dict[str, float] | None
    quality: dict[str, float | None]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs by name, with a batch dimension of 1, to be read only."""
        return {
            FRAMES.name: _tensor(self.frames, FRAMES),
            LOG_MEL.name: _tensor(self.log_mel, LOG_MEL),
            PRESENT.name: np.array([self.present], PRESENT.dtype),
        }


def pack(clip: Clip) -> DecodedClip:
    """What is needed of a clip that was read."""
    return DecodedClip(
        frames=clip.frames.tobytes(),
        log_mel=clip.log_mel.tobytes(),
        present=clip.present.tolist(),
        missing=clip.missing,
        face=None if clip.face is None else dict(vars(clip.face)),
        quality=clip.quality.rounded(),
    )


def _tensor(data: bytes, spec: TensorSpec) -> npt.NDArray[Any]:
    return np.frombuffer(data, spec.dtype).reshape(1, *spec.shape)
