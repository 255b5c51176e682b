"""A slow, independent reader of clips: it decodes everything, uses plain loops, and takes the log-mel from librosa."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt
from av.stream import Disposition

FloatArray = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]


@dataclass(frozen=True)
class Reference:
    """What the slow way makes of a clip.

    Attributes:
        frames: uint8 [8, 112, 112, 3], None without video.
        log_mel: [64, 188] in [-1, 1], None without sound.
        pictures: The eight upright frames, whole.
        start: Start of the window, in seconds of presentation time.
        length: Length of the window, in seconds.
    """

    frames: Picture | None
    log_mel: FloatArray | None
    pictures: list[Picture]
    start: float
    length: float


def read_slowly(
    data: bytes,
    *,
    upright: Callable[[Picture], Picture] = lambda picture: picture,
    square: tuple[int, int, int] | None = None,
) -> Reference:
    """Decode a clip whole and compute its tensors.

    Args:
        data: The file's bytes.
        upright: Makes a stored picture upright, with square pixels.
        square: Left, top and size of the crop; each picture's centre square where None.
    """
    frames, ends = _all_frames(data)
    blocks, rate, (sound_start, sound_end) = _all_sound(data)
    starts = [time for time, _ in frames[:1]] + [sound_start] * bool(blocks)
    stops = [ends] * bool(frames) + [sound_end] * bool(blocks)
    start, end = max(starts), min(stops)
    if end - start < 3:
        end = max(end, min(max(stops), start + 3))
    length = min(3.0, max(end - start, 0.001))
    start = (start + end - length) / 2
    pictures = [upright(_shown(frames, start + (part + 0.5) * length / 8)) for part in range(8)] if frames else []
    cut = np.stack([_resize(_crop(picture, square)) for picture in pictures]) if pictures else None
    mel = None
    if blocks:
        mel = _log_mel(_window_of(blocks, rate, start, length), rate)
    return Reference(cut, mel, pictures, start, length)


def _crop(picture: Picture, square: tuple[int, int, int] | None) -> Picture:
    height, width = picture.shape[:2]
    shorter = min(height, width)
    left, top, size = square or ((width - shorter) // 2, (height - shorter) // 2, shorter)
    return picture[top : top + size, left : left + size]


def _all_frames(data: bytes) -> tuple[list[tuple[float, Picture]], float]:
    """Times and pictures of all frames that are not hidden, and when the last one ends."""
    with av.open(io.BytesIO(data)) as container:
        stream = _chosen(list(container.streams.video))
        if stream is None:
            return [], 0.0
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        last = max(packets, key=lambda p: p.pts if p.pts is not None else p.dts)
        times = sorted(float((p.pts if p.pts is not None else p.dts) * p.time_base) for p in packets)
        duration = float((last.duration or 0) * last.time_base)
        if duration <= 0 and len(times) > 1:
            duration = (times[-1] - times[0]) / (len(times) - 1)
    with av.open(io.BytesIO(data)) as container:
        frames = []
        for frame in container.decode(_chosen(list(container.streams.video))):
            pts = frame.pts if frame.pts is not None else frame.dts
            frames.append((float(pts * frame.time_base), frame.to_ndarray(format="rgb24")))
    frames.sort(key=lambda item: item[0])
    return frames, times[-1] + duration


def _all_sound(data: bytes) -> tuple[list[tuple[float, FloatArray]], int, tuple[float, float]]:
    """Times and mono samples of all blocks, their rate, and from when to when they are heard."""
    with av.open(io.BytesIO(data)) as container:
        stream = _chosen(list(container.streams.audio))
        if stream is None:
            return [], 0, (0.0, 0.0)
        packets = [p for p in container.demux(stream) if p.size and not p.is_discard]
        begin = packets[0].pts if stream.start_time is None else max(packets[0].pts, stream.start_time)
        begin = float(begin * stream.time_base)
        end = float((packets[-1].pts + (packets[-1].duration or 0)) * packets[-1].time_base)
        if stream.duration and stream.start_time is not None:
            end = min(end, float((stream.start_time + stream.duration) * stream.time_base))
    with av.open(io.BytesIO(data)) as container:
        decoded: list[Any] = list(container.decode(_chosen(list(container.streams.audio))))
    blocks: list[tuple[float, FloatArray]] = []
    rate = decoded[0].sample_rate
    for block in decoded:
        array = block.to_ndarray().astype(np.float64)
        channels = len(block.layout.channels)
        if not block.format.is_planar:
            array = array.reshape(-1, channels).T
        scale = {"s16": 2**15, "s16p": 2**15, "s32": 2**31, "s32p": 2**31}.get(block.format.name, 1)
        total = np.zeros(array.shape[1])
        for channel in range(channels):
            total += array[channel]
        follows = blocks[-1][0] + len(blocks[-1][1]) / rate if blocks else 0.0
        time = follows if block.pts is None else float(block.pts * block.time_base)
        blocks.append((time, total / channels / scale))
    return blocks, rate, (begin, min(end, blocks[-1][0] + len(blocks[-1][1]) / rate))


def _chosen(streams: list[Any]) -> Any:
    """The default stream or else the first one, without cover images; None if there is none."""
    films = [stream for stream in streams if not stream.disposition & Disposition.attached_pic]
    for stream in films:
        if stream.disposition & Disposition.default:
            return stream
    return films[0] if films else None


def _shown(frames: list[tuple[float, Picture]], moment: float) -> Picture:
    chosen = frames[0][1]
    for time, picture in frames:
        if time <= moment:
            chosen = picture
    return chosen


def _window_of(blocks: list[tuple[float, FloatArray]], rate: int, start: float, length: float) -> FloatArray:
    """Three seconds of samples at the track's own rate, silence where there are none.

    Blocks follow each other without a seam unless their times are more than 40 ms apart.
    """
    window = np.zeros(3 * rate)
    follows = None
    for time, samples in blocks:
        position = round((time - start) * rate)
        if follows is not None and abs(position - follows) <= 0.04 * rate:
            position = follows
        follows = position + len(samples)
        end = min(len(window), round(length * rate))
        heard = samples[max(0, -position) : max(0, end - position)]
        window[max(0, position) : max(0, position) + len(heard)] = heard
    return window


def _log_mel(window: FloatArray, rate: int) -> FloatArray:
    sound = window if rate == 16_000 else librosa.resample(window, orig_sr=rate, target_sr=16_000)
    sound = np.pad(sound, (0, max(0, 48_000 - len(sound))))[:48_000]
    power = librosa.feature.melspectrogram(y=sound, sr=16_000, n_fft=1024, hop_length=256, n_mels=64)
    return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=80) / 40 + 1, np.float64)


def _resize(picture: Picture) -> Picture:
    """112 × 112 pixels: the mean over each one's area where that shrinks, else linear between centres."""
    rows, columns = (_weights(side, min(picture.shape[:2]) >= 112) for side in picture.shape[:2])
    resized = np.einsum("yi,ijc,xj->yxc", rows, picture.astype(np.float64), columns, optimize=True)
    return np.asarray(np.clip(np.round(resized), 0, 255), np.uint8)


def _weights(side: int, shrinking: bool) -> FloatArray:
    weights = np.zeros((112, side))
    scale = side / 112
    for index in range(112):
        if shrinking:
            begin, end = index * scale, (index + 1) * scale
            for source in range(int(begin), min(side, int(np.ceil(end)))):
                weights[index, source] = max(0.0, min(end, source + 1) - max(begin, source)) / scale
        else:
            centre = min(max((index + 0.5) * scale - 0.5, 0.0), side - 1.0)
            below = min(int(centre), side - 1)
            weights[index, below] += 1 - (centre - below)
            weights[index, min(below + 1, side - 1)] += centre - below
    return weights
