"""The sound of a window as 16 kHz mono samples, placed by presentation time.

Padded with silence and never stretched, so that sound stays aligned with the frames. Channels are averaged here:
FFmpeg's own downmix makes stereo louder by the square root of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler
from av.error import FFmpegError

from preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from preprocessing.media import Track, packet_duration, packet_time

FloatArray = npt.NDArray[np.float32]

SILENCE_PEAK: Final = 1e-4
"""A window whose samples all stay below this (-80 dBFS) carries no sound that could be judged."""

_PREROLL_SECONDS: Final = 0.2
"""Decoded before the window and thrown away: Opus needs 80 ms to converge (RFC 7845, section 4.6)."""

_GAP_SECONDS: Final = 0.04
"""Timestamps that jump by more than this are gaps; smaller jumps are the rounding of millisecond containers."""

_INTEGER_SCALE: Final = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}


def read_waveform(track: Track, start: float, length: float) -> FloatArray | None:
    """The sound of a window.

    Args:
        track: The audio track.
        start: Start of the window, in seconds of presentation time.
        length: Length of the window, in seconds, at most the contract's.

    Returns:
        float32 [48000] in [-1, 1], silence wherever the track has no sound, or None where nothing in the
        window could be decoded.
    """
    native: FloatArray | None = None
    rate = 0
    cursor = 0
    for time, frame in _decode(track, start - _PREROLL_SECONDS, start + length):
        expected = round((time - start) * frame.sample_rate)
        if native is None:
            rate = frame.sample_rate
            native = np.zeros(round(length * rate), np.float32)
            cursor = expected
        samples = _mono(frame)
        if abs(expected - cursor) > _GAP_SECONDS * rate:
            cursor = expected
        _place(samples, cursor, native)
        cursor += len(samples)
    if native is None:
        return None
    waveform = _resample(native, rate)[:WINDOW_SAMPLES]
    return np.pad(waveform, (0, WINDOW_SAMPLES - len(waveform)))


def _decode(track: Track, start: float, end: float) -> Iterator[tuple[float, AudioFrame]]:
    """Presentation times and decoded frames of the packets that overlap [start, end)."""
    context = track.stream.codec_context
    for packet in track.packets:
        begins = packet_time(packet)
        if begins + packet_duration(packet) < start:
            continue
        if begins >= end:
            break
        try:
            frames = context.decode(packet)
        except FFmpegError:
            continue  # A damaged packet costs its own samples, not the clip.
        yield from ((frame.time, frame) for frame in frames if frame.time is not None)


def _mono(frame: AudioFrame) -> FloatArray:
    """Mean of the channels [samples], in [-1, 1]."""
    array = frame.to_ndarray()
    if not frame.format.is_planar:
        array = array.reshape(-1, len(frame.layout.channels)).T
    mean = array.mean(axis=0, dtype=np.float64)
    name = frame.format.name.removesuffix("p")
    if name == "u8":
        mean -= _INTEGER_SCALE[name]
    return np.asarray(mean / _INTEGER_SCALE.get(name, 1.0), np.float32)


def _place(samples: FloatArray, position: int, target: FloatArray) -> None:
    """Copy samples into a buffer, as far as they overlap it."""
    begin, end = max(0, position), min(len(target), position + len(samples))
    if begin < end:
        target[begin:end] = samples[begin - position : end - position]


def _resample(native: FloatArray, rate: int) -> FloatArray:
    if rate == SAMPLE_RATE:
        return native
    resampler = AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE)
    frame = AudioFrame.from_ndarray(native[None, :], format="flt", layout="mono")
    frame.sample_rate = rate
    parts = [out.to_ndarray()[0] for chunk in (frame, None) for out in resampler.resample(chunk)]
    return np.concatenate(parts)
