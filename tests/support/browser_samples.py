"""Sampling a recording as the page does: eight JPEG frames at the contract's times, and sound as WAV.

Frames are chosen and reduced here by other code than the product's: decoded whole by PyAV, scaled by FFmpeg's own
scaler and encoded by OpenCV.
"""

from __future__ import annotations

import io
import wave
from dataclasses import dataclass
from pathlib import Path

import av
import cv2
import numpy as np

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS
from avemotion.preprocessing.video import sample_times


@dataclass(frozen=True)
class Samples:
    """What a page sends.

    Attributes:
        frames: JPEG files in order.
        audio: A WAV file.
    """

    frames: list[bytes]
    audio: bytes

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(map(len, self.frames)) + len(self.audio)

    def form(self) -> list[tuple[str, tuple[str, bytes]]]:
        """The files of a form, for httpx."""
        return [("frames", ("frame.jpg", frame)) for frame in self.frames] + [("audio", ("audio.wav", self.audio))]


def sample_recording(path: Path, *, start: float, longest_side: int, quality: float) -> Samples:
    """Sample three seconds of a recording.

    Args:
        path: The recording.
        start: Where the three seconds begin, in seconds of presentation time.
        longest_side: Longest side of a frame, in pixels.
        quality: Quality of the JPEG frames, 0 to 1, as `canvas.toBlob` takes it.
    """
    with av.open(str(path)) as container:
        shown = [(frame.time, frame) for frame in container.decode(video=0)]
        frames = []
        for time in sample_times(start, WINDOW_SECONDS):
            frame = max((each for each in shown if each[0] <= time), key=lambda each: each[0])[1]
            scale = min(1.0, longest_side / max(frame.width, frame.height))
            size = {"width": round(frame.width * scale), "height": round(frame.height * scale)}
            picture = frame.reformat(**size, format="bgr24").to_ndarray()
            done, encoded = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, round(100 * quality)])
            assert done
            frames.append(encoded.tobytes())
    return Samples(frames, wav(_sound(path, start)))


def wav(samples: np.ndarray, rate: int = SAMPLE_RATE) -> bytes:
    """A WAV file, mono, 16 bits.

    Args:
        samples: In [-1, 1].
        rate: Samples per second.
    """
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes((np.clip(samples, -1, 1) * 32767).round().astype("<i2").tobytes())
    return buffer.getvalue()


def _sound(path: Path, start: float) -> np.ndarray:
    """Three seconds of sound, mono, by FFmpeg's resampler."""
    resampler = av.AudioResampler(format="fltp", rate=SAMPLE_RATE)
    target = np.zeros(WINDOW_SAMPLES, np.float32)
    with av.open(str(path)) as container:
        first: float | None = None
        parts = []
        for frame in container.decode(audio=0):
            first = frame.time if first is None else first
            parts += [out.to_ndarray().mean(axis=0) for out in resampler.resample(frame)]
        parts += [out.to_ndarray().mean(axis=0) for out in resampler.resample(None)]
    assert first is not None
    samples = np.concatenate(parts)
    skipped = round((start - first) * SAMPLE_RATE)
    samples = samples[skipped:] if skipped >= 0 else np.pad(samples, (-skipped, 0))
    samples = samples[:WINDOW_SAMPLES]
    target[: len(samples)] = samples
    return target
