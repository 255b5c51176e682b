"""The sound of a window as 16 kHz mono samples, placed by presentation time.

Gaps are filled with silence and nothing is stretched, so that sound stays aligned with the frames. Channels are
averaged here, because FFmpeg's downmix makes stereo louder by the square root of two. If that cancels the sound, as it
does if one of two microphones is wired the wrong way round, the loudest channel is used instead.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from av.audio.frame import AudioFrame
from av.error import FFmpegError
from av.filter import Graph
from av.packet import Packet

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

_SEGMENT_SAMPLES: Final = 2**16
"""Decoded frames are converted together until they have this many samples: a call of numpy for each takes longer."""

_CANCELLED: Final = 0.25
"""Channels cancel each other if their mean has less than this share of the power that it has for channels that are
unrelated, which is the channels' mean power divided by their number. A voice in one channel of six is at one."""


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
    segments: list[_Segment] = []
    frames: list[AudioFrame] = []
    rate = position = samples = 0
    for time, frame in _decode(track, start - _PREROLL_SECONDS, start + length):
        budget.add_samples(frame.samples * frame.layout.nb_channels)
        rate = rate or frame.sample_rate
        expected = position + samples if time is None else round((time - start) * rate)
        apart = abs(expected - position - samples) > _GAP_SECONDS * rate
        if frames and (apart or samples >= _SEGMENT_SAMPLES or _kind(frame) != _kind(frames[0])):
            segments.append(_Segment(position, _converted(frames)))
            position, samples, frames = position + samples, 0, []
        if apart or not (frames or segments):
            position = expected
        frames.append(frame)
        samples += frame.samples
    if not frames:
        return None
    segments.append(_Segment(position, _converted(frames)))
    native = np.zeros(round(length * rate), np.float32)
    hidden = max(0, round((track.start - start) * rate))
    spans: list[tuple[int, int]] = []
    for _, group in groupby(segments, key=lambda segment: len(segment.channels)):
        for segment, mono in _downmixed(list(group)):
            _place(mono, segment.position, native, hidden, spans)
    return Sound(_resample(native, rate), tuple((begin / rate, end / rate) for begin, end in spans))


@dataclass(frozen=True)
class _Segment:
    """Decoded sound without a gap.

    Attributes:
        position: Index of its first sample in the part that is read; negative before it.
        channels: float32 [channels, samples] in [-1, 1].
    """

    position: int
    channels: FloatArray


def _decode(track: Track, start: float, end: float) -> Iterator[tuple[float | None, AudioFrame]]:
    """Decoded frames of the packets that overlap [start, end), and their presentation times.

    The time is None if the frame follows the one before it, as do all but the first one of a packet that has several.
    """
    context = track.stream.codec_context
    # None: some codecs keep samples back until they are told that no more comes.
    packets: tuple[Packet[Any] | None, ...] = (*_overlapping(track, start, end), None)
    first: float | None = max(start, track.start)
    for packet in packets:
        try:
            frames = context.decode(packet)
        except FFmpegError:
            continue  # A damaged packet loses its own samples, not the clip.
        for frame in frames:
            if frame.samples:
                # What a codec kept back until the end has no time base, and NaN for a time.
                unknown = frame.time is None or frame.time_base is None
                yield (first if unknown else frame.time), frame
                first = None


def _overlapping(track: Track, start: float, end: float) -> Iterator[Packet[Any]]:
    for packet in track.packets:
        begins = packet_time(packet)
        if begins < end and begins + packet_duration(packet) >= start:
            yield packet


def _kind(frame: AudioFrame) -> tuple[str, int]:
    return frame.format.name, frame.layout.nb_channels


def _converted(frames: Sequence[AudioFrame]) -> FloatArray:
    """Frames of one kind that follow each other, float32 [channels, samples]; what exceeds [-1, 1] is clipped.

    NaN becomes silence.
    """
    array = np.concatenate([_array(frame) for frame in frames], axis=1)
    if not frames[0].format.is_planar:
        array = array.reshape(-1, frames[0].layout.nb_channels).T
    name = frames[0].format.name.removesuffix("p")
    if name in _INTEGER_SCALE:
        centre = _INTEGER_SCALE[name] if name == "u8" else 0.0
        return np.asarray((array.astype(np.float32) - np.float32(centre)) / np.float32(_INTEGER_SCALE[name]))
    if not (array.max() <= 1 and array.min() >= -1):
        array = np.clip(np.nan_to_num(array, nan=0.0), -1, 1)
    return np.asarray(array, np.float32)


def _array(frame: AudioFrame) -> npt.NDArray[Any]:
    """PyAV's array of a frame, also of integers of 64 bits, of which PyAV makes none."""
    if frame.format.name not in ("s64", "s64p"):
        return frame.to_ndarray()
    size = frame.samples if frame.format.is_planar else frame.samples * frame.layout.nb_channels
    return np.stack([np.frombuffer(memoryview(plane), np.int64)[:size] for plane in frame.planes])


def _downmixed(segments: Sequence[_Segment]) -> list[tuple[_Segment, FloatArray]]:
    """Segments with the same channels, each with its mono samples."""
    count = len(segments[0].channels)
    if count == 1:
        return [(segment, segment.channels[0]) for segment in segments]
    mixed = [(segment, segment.channels.mean(axis=0)) for segment in segments]
    power = sum(float(np.dot(mono, mono)) for _, mono in mixed)
    powers = [
        sum(float(np.dot(row, row)) for row in rows) for rows in zip(*(s.channels for s in segments), strict=True)
    ]
    if power >= _CANCELLED * sum(powers) / count**2:
        return mixed
    loudest = int(np.argmax(powers))
    return [(segment, segment.channels[loudest]) for segment in segments]


def _place(samples: FloatArray, position: int, target: FloatArray, earliest: int, spans: list[tuple[int, int]]) -> None:
    """Copy samples into a buffer, as far as they overlap it from `earliest` on, and add the interval to `spans`."""
    begin, end = max(earliest, position), min(len(target), position + len(samples))
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
