"""How well a window could be seen and heard, so that a page can say "too dark" or "microphone silent"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.contract import WINDOW_SECONDS
from avemotion.preprocessing.face import FaceBox

QUIETEST: Final = -120.0
"""Level that stands for digital silence, in dBFS: minus infinity is no JSON number."""

CLIPPED: Final = 0.99
"""Samples at or beyond this count as clipped: resampling to 16 kHz rounds the corners of what was cut at 1."""

_DECIMALS: Final = 4

_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class Quality:
    """How well a window could be seen and heard.

    Attributes:
        face_height: Height of the detected face, as a fraction of the frame's; None where there is none.
        brightness: Mean luma of what the model sees, 0 (black) to 1 (white); None without video.
        audio_level: Root mean square of the sound, in dB relative to full scale, at least `QUIETEST`; None without an
            audio track.
        clipping: Share of the samples at or beyond `CLIPPED`, 0 to 1; None without an audio track.
        padding: Share of the window's seconds that had to be filled, 0 to 1: with silence where the audio track has
            gaps or ends, or, without an audio track, because the video is shorter than the window.
    """

    face_height: float | None
    brightness: float | None
    audio_level: float | None
    clipping: float | None
    padding: float

    def rounded(self) -> dict[str, float | None]:
        """The parts by name, as answers give them."""
        return {name: None if value is None else round(value, _DECIMALS) for name, value in vars(self).items()}


def measure(frames: npt.NDArray[np.uint8] | None, face: FaceBox | None, sound: Sound | None, length: float) -> Quality:
    """Measure one window.

    Args:
        frames: uint8 [8, 112, 112, 3] RGB, None without video.
        face: The detected face.
        sound: The window's sound, None where there is no track or nothing of it could be decoded.
        length: Length of what the clip has of the window, in seconds.
    """
    covered = length if sound is None else sound.covered
    return Quality(
        face_height=None if face is None else face.height,
        brightness=None if frames is None else _brightness(frames),
        audio_level=None if sound is None else _level(sound.waveform, sound.covered),
        clipping=None if sound is None else float(np.mean(np.abs(sound.waveform) >= CLIPPED)),
        padding=min(1.0, max(0.0, 1 - covered / WINDOW_SECONDS)),
    )


def _brightness(frames: npt.NDArray[np.uint8]) -> float:
    """Mean luma, 0 to 1. numpy's mean of bytes takes fifteen times as long as OpenCV's."""
    mean = cv2.mean(frames.reshape(-1, frames.shape[-2], frames.shape[-1]))
    return float(mean[:3] @ _LUMA / 255)


def _level(waveform: npt.NDArray[np.float32], covered: float) -> float:
    """Level of what is sound and not padding, in dBFS."""
    if covered <= 0:
        return QUIETEST
    power = float(np.mean(np.square(waveform, dtype=np.float64))) * WINDOW_SECONDS / covered
    return max(QUIETEST, 10 * float(np.log10(power))) if power > 0 else QUIETEST
