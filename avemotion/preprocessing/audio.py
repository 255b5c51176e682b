"""The sound of a window as 16 kHz mono samples, placed by presentation time.

Gaps are filled with silence and nothing is stretched, so that sound stays aligned with the frames. Channels are
averaged here, because FFmpeg's downmix makes stereo louder by the square root of two.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from typing import Final

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.filter import Graph

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES, WINDOW_SECONDS
from avemotion.preprocessing.limits import DecodeBudget
from avemotion.preprocessing.media import Track, packet_duration, packet_time

FloatArray = npt.NDArray[np.float32]

SILENCE_PEAK: Final = 1e-4
"""Sound counts as silent if all its samples are below this (-80 dBFS)."""

_PREROLL_SECONDS: Final = 0.2
"""Decoded before the window and discarded: Opus needs 80 ms to converge (RFC 7845, section 4.6)."""

_GAP_SECONDS: Final = 0.04
"""A jump of timestamps by more than this is a gap; smaller jumps come from containers that round to milliseconds."""

_INTEGER_SCALE: Final = {"u8": 2.0**7, "s16": 2.0**15, "s32": 2.0**31, "s64": 2.0**63}


@dataclass(frozen=True)
class Sound:
    """Decoded sound, padded with silence.

    Attributes:
        waveform: float32 [samples] in [-1, 1] at 16 kHz; silence in gaps of the track.
        spans: Start and end of each part that was decoded, in seconds from the first sample, ascending.
    """

    waveform: FloatArray
    spans: tuple[tuple[float, float], ...]

    @property
    def covered(self) -> float:
        """Seconds that were decoded; the rest is padding."""
        return sum(end - begin for begin, end in self.spans)

    @property
    def silent(self) -> bool:
        """Whether all samples are below `SILENCE_PEAK`."""
        return float(np.abs(self.waveform).max(initial=0.0)) < SILENCE_PEAK

    def window(self, start: float, length: float = WINDOW_SECONDS) -> Sound:
        """Cut out one of the contract's windows, padded with silence at its end.

        Args:
            start: Start of the window, in seconds from the first sample.
            length: Length of the part that is copied, in seconds; the rest of the window is padding.
        """
        first = round(start * SAMPLE_RATE)
        part = self.waveform[first : first + min(WINDOW_SAMPLES, round(length * SAMPLE_RATE))]
        spans = ((max(begin, start) - start, min(end, start + length) - start) for begin, end in self.spans)
        return Sound(
            np.pad(part, (0, WINDOW_SAMPLES - len(part))),
            tuple((begin, end) for begin, end in spans if begin < end),
        )


def read_sound(track: Track, start: float, length: float, budget: DecodeBudget) -> Sound | None:
    """Decode the sound of a part of a clip.

    Args:
        track: The audio track.
        start: Start of the part, in seconds of presentation time.
        length: Length of the part, in seconds.
        budget: Counts what is decoded.

    Returns:
        The sound; None if nothing in the part could be decoded.

    Raises:
        TooManySamplesError: The part has more samples than the limit.
    """
    native: FloatArray | None = None
    rate = 0
    cursor = 0
    spans: list[tuple[int, int]] = []
    for time, frame in _decode(track, start - _PREROLL_SECONDS, start + length):
        budget.add_samples(frame.samples * frame.layout.nb_channels)
        expected = round((time - start) * frame.sample_rate)
        if native is None:
            rate = frame.sample_rate
            native = np.zeros(round(length * rate), np.float32)
            cursor = expected
        samples = _mono(frame)
        if abs(expected - cursor) > _GAP_SECONDS * rate:
            cursor = expected
        _place(samples, cursor, native, spans)
        cursor += len(samples)
    if native is None:
        return None
    return Sound(_resample(native, rate), tuple((begin / rate, end / rate) for begin, end in spans))


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
            continue  # A damaged packet loses its own samples, not the clip.
        yield from ((frame.time, frame) for frame in frames if frame.time is not None)


def _mono(frame: AudioFrame) -> FloatArray:
    """Mean of the channels [samples], in [-1, 1]."""
    array = frame.to_ndarray()
    channels = frame.layout.nb_channels
    if not frame.format.is_planar:
        array = array.reshape(-1, channels).T
    name = frame.format.name.removesuffix("p")
    if channels == 1 and name == "flt":
        return np.asarray(array[0], np.float32)
    mean = array[0].astype(np.float64)  # row by row: numpy's mean takes twice as long
    for row in array[1:]:
        mean += row
    mean /= channels
    if name == "u8":
        mean -= _INTEGER_SCALE[name]
    return np.asarray(mean / _INTEGER_SCALE.get(name, 1.0), np.float32)


def _place(samples: FloatArray, position: int, target: FloatArray, spans: list[tuple[int, int]]) -> None:
    """Copy samples into a buffer, as far as they overlap it, and add the interval to `spans`."""
    begin, end = max(0, position), min(len(target), position + len(samples))
    if begin >= end:
        return
    target[begin:end] = samples[begin - position : end - position]
    if spans and spans[-1][0] <= begin <= spans[-1][1]:
        spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
    else:
        spans.append((begin, end))


def _resample(native: FloatArray, rate: int) -> FloatArray:
    if rate == SAMPLE_RATE:
        return native
    # PyAV's AudioResampler builds the same graph with a thread per core; starting them takes longer than resampling.
    graph = Graph()
    graph.threads = 1
    graph.link_nodes(
        graph.add_abuffer(sample_rate=rate, format="flt", layout="mono", time_base=Fraction(1, rate)),
        graph.add("aformat", sample_rates=str(SAMPLE_RATE), sample_fmts="flt", channel_layouts="mono"),
        graph.add("abuffersink"),
    ).configure()
    frame = AudioFrame.from_ndarray(native[None, :], format="flt", layout="mono")
    frame.sample_rate = rate
    graph.push(frame)
    graph.push(None)
    parts = []
    with suppress(EOFError):
        while True:
            parts.append(graph.pull().to_ndarray()[0])
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)  # too few samples for one
