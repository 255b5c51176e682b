"""Samples a clip as a browser does for `/predict/sampled`: eight frames and three seconds of sound.

The gateway's `/contract` gives the size and the compression of the frames, so that no number is repeated here.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.api.service import ContractResponse
from avemotion.preprocessing.clip import decode_window
from avemotion.preprocessing.contract import SAMPLE_RATE
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.video import sample_times


@dataclass(frozen=True)
class Sampling:
    """How the gateway wants frames.

    Attributes:
        longest_side: Longest side of a frame, in pixels.
        jpeg_quality: Quality of the JPEG files, 0 to 1.
    """

    longest_side: int
    jpeg_quality: float

    @classmethod
    def of_contract(cls, contract: ContractResponse) -> Self:
        """The part of `GET /contract` that concerns sampled clips."""
        return cls(contract.sampled.frame_longest_side, contract.sampled.jpeg_quality)


@dataclass(frozen=True)
class SampledClip:
    """A clip as `/predict/sampled` takes it.

    Attributes:
        frames: Eight JPEG files in order; none if there is no video.
        times: When each is on display, in seconds from the window's start.
        audio: A WAV file, 16 kHz mono PCM of 16 bits, of at most three seconds; None if there is no sound.
    """

    frames: tuple[bytes, ...]
    times: tuple[float, ...]
    audio: bytes | None


def sample_clip(source: bytes | Path, sampling: Sampling) -> SampledClip:
    """Take the frames and the sound of the three seconds at the centre of a clip.

    Args:
        source: The file's bytes or its path.
        sampling: How the gateway wants the frames.

    Raises:
        MediaError: The clip cannot be read; the subclass says why.
    """
    decoded, _ = decode_window(source)
    frames = tuple(_jpeg(frame, sampling) for frame in decoded.frames)
    times = sample_times(0.0, decoded.length) if frames else []
    sound = decoded.sound
    return SampledClip(
        frames,
        tuple(round(time, 6) for time in times),
        None if sound is None or sound.silent else _wav(sound.waveform[: round(decoded.length * SAMPLE_RATE)]),
    )


def _jpeg(frame: Frame, sampling: Sampling) -> bytes:
    """One frame, reduced so that its longest side fits, as a JPEG file."""
    rgb = np.ascontiguousarray(frame.rgb())
    scale = min(1.0, sampling.longest_side / max(rgb.shape[:2]))
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    reduced = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
    bgr = cv2.cvtColor(reduced, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, round(100 * sampling.jpeg_quality)])
    return encoded.tobytes()


def _wav(waveform: npt.NDArray[np.float32]) -> bytes:
    """A waveform in [-1, 1] as a WAV file of 16 bits."""
    samples = np.clip(np.round(waveform * 2**15), -(2**15), 2**15 - 1).astype("<i2")
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return buffer.getvalue()
