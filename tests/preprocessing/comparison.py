"""What clips are drawn with, and how their tensors are compared with those of the slow reader."""

from __future__ import annotations

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from avemotion.preprocessing.clip import Clip
from tests.preprocessing.reference import Reference

FRAME_TOLERANCE = 1.0
"""Mean difference of pixel values: rounding of two ways to resize."""

LOG_MEL_TOLERANCE = 0.02
"""Mean difference of a log-mel in [-1, 1], 0.8 dB: FFmpeg's resampler against librosa's."""


def scene(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Slopes to the right and downwards, another blue for each frame, and a bright square that moves."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, :, 0] = np.linspace(20, 220, width)[None, :]
    picture[:, :, 1] = np.linspace(30, 200, height)[:, None]
    picture[:, :, 2] = 40 + 2 * (index % 100)
    side = min(width, height) // 5
    left = (7 * index) % max(1, width - side)
    picture[height // 6 : height // 6 + side, left : left + side] = 235
    return picture


def melody(seconds: float, rate: int) -> npt.NDArray[np.float32]:
    """Tones that rise, with a little noise, below 3.5 kHz for the most part."""
    times = np.arange(round(seconds * rate)) / rate
    tones = sum(np.sin(2 * np.pi * (pitch + 150 * times) * times) for pitch in (220, 510, 1300))
    noise = np.random.default_rng(4).normal(0, 0.01, len(times))
    return np.asarray(0.15 * np.asarray(tones) + noise, np.float32)


def assert_close(clip: Clip, reference: Reference, rate: int = 48_000) -> None:
    """Compare tensors; above nine tenths of the sound's own band only what resamplers leak is heard, and left out."""
    assert clip.start == pytest.approx(reference.start, abs=0.03)
    assert clip.present.tolist() == [reference.frames is not None, reference.log_mel is not None]
    if reference.frames is not None:
        assert np.abs(clip.frames.astype(int) - reference.frames).mean() < FRAME_TOLERANCE
        per_frame = np.abs(clip.frames.astype(int) - reference.frames).mean(axis=(1, 2, 3))
        assert per_frame.max() < 2 * FRAME_TOLERANCE
    if reference.log_mel is not None:
        heard = librosa.mel_frequencies(n_mels=66, fmax=8000)[1:-1] < 0.45 * rate
        assert np.abs(clip.log_mel - reference.log_mel)[heard].mean() < LOG_MEL_TOLERANCE
