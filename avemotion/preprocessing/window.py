"""One window of pictures and sound becomes tensors: the last step of every reader."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.contract import FRAMES, LOG_MEL, PRESENT, CropMode
from avemotion.preprocessing.face import FaceBox, cut_frames
from avemotion.preprocessing.log_mel import log_mel
from avemotion.preprocessing.picture import Picture
from avemotion.preprocessing.profiling import stage
from avemotion.preprocessing.quality import Quality, measure


@dataclass(frozen=True)
class Window:
    """The tensors of one window, as the contract defines them, without batch dimension.

    Attributes:
        frames: uint8 [8, 112, 112, 3] RGB; zeros where video is missing.
        log_mel: float32 [64, 188] in [-1, 1]; zeros where audio is missing.
        present: bool [2]: is there video, is there audio.
        start: Start of the window, in seconds.
        length: Length of what the clip has of the window, in seconds, at most the contract's.
        face: Where the face is; None where none was found or looked for.
        quality: How well the window could be seen and heard.
        missing: For each modality that is not in the tensors, why, as a sentence.
    """

    frames: npt.NDArray[np.uint8]
    log_mel: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    start: float
    length: float
    face: FaceBox | None
    quality: Quality
    missing: dict[str, str]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs by name, with a batch dimension of 1."""
        return {
            FRAMES.name: self.frames[None],
            LOG_MEL.name: self.log_mel[None],
            PRESENT.name: self.present[None],
        }


def make_window(
    pictures: Sequence[Picture],
    sound: Sound | None,
    *,
    start: float,
    length: float,
    crop: CropMode,
    missing: dict[str, str],
) -> Window:
    """Compute the tensors of a window.

    Args:
        pictures: The window's eight frames in order; none where video is missing.
        sound: The window's sound; None where audio is missing.
        start: Start of the window, in seconds.
        length: Length of what the clip has of the window, in seconds.
        crop: How frames are cut.
        missing: Why modalities are missing. Silence is added.
    """
    with stage("crop"):
        frames, face = cut_frames(pictures, crop) if pictures else (None, None)
    if sound is not None and sound.silent:
        missing = missing | {"audio": "The audio track is silent."}
    heard = sound is not None and not sound.silent
    with stage("mel"):
        mel = log_mel(sound.waveform) if sound is not None and heard else LOG_MEL.zeros()[0]
    return Window(
        frames=FRAMES.zeros()[0] if frames is None else frames,
        log_mel=mel,
        present=np.array([frames is not None, heard]),
        start=start,
        length=length,
        face=face,
        quality=measure(frames, face, sound, length),
        missing=missing,
    )
