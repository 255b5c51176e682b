"""A slow, independent reader of clips: it decodes everything, uses plain loops, and takes the log-mel from librosa."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any

import av
import librosa
import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


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

    frames: npt.NDArray[np.uint8] | None
    log_mel: FloatArray | None
    pictures: list[npt.NDArray[np.uint8]]
    start: float
    length: float


def read_slowly(data: bytes, *, turns: int = 0, square: tuple[int, int, int] | None = None) -> Reference:
    """Decode a clip whole and compute its tensors.

    Args:
        data: The file's bytes.
        turns: Counter-clockwise quarter turns that make frames upright.
        square: Left, top and size of the crop; the centre square where None.
    """
    frames, ends = _all_frames(data)
    blocks, rate, (sound_start, sound_end) = _all_sound(data)
    starts = [frames[0][0]] * bool(frames) + [sound_start] * bool(blocks)
    stops = [ends] * bool(frames) + [sound_end] * bool(blocks)
    start, end = max(starts), min(stops)
    if end - start < 3:
        end = max(end, min(max(stops), start + 3))
    length = min(3.0, max(end - start, 0.001))
    start = (start + end - length) / 2
    pictures = (
        [np.rot90(_shown(frames, start + (part + 0.5) * length / 8), turns) for part in range(8)] if frames else []
    )
    cut = None
    if pictures:
        height, width = pictures[0].shape[:2]
        shorter = min(height, width)
        left, top, size = square or ((width - shorter) // 2, (height - shorter) // 2, shorter)
        cut = np.stack([_resize(picture[top : top + size, left : left + size]) for picture in pictures])
    mel = None
    if blocks:
        mel = _log_mel(_window_of(blocks, rate, start, length), rate)
    return Reference(cut, mel, pictures, start, length)


def _all_frames(data: bytes) -> tuple[list[tuple[float, npt.NDArray[np.uint8]]], float]:
    """Times and pictures of all frames, and when the last one ends."""
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.video:
            return [], 0.0
        packets = [p for p in container.demux(video=0) if p.size]
        last = max(packets, key=lambda p: p.pts if p.pts is not None else p.dts)
        times = sorted(float((p.pts if p.pts is not None else p.dts) * p.time_base) for p in packets)
        duration = float((last.duration or 0) * last.time_base)
        if duration <= 0 and len(times) > 1:
            duration = (times[-1] - times[0]) / (len(times) - 1)
    with av.open(io.BytesIO(data)) as container:
        frames = []
        for frame in container.decode(video=0):
            pts = frame.pts if frame.pts is not None else frame.dts
            frames.append((float(pts * frame.time_base), frame.to_ndarray(format="rgb24")))
    frames.sort(key=lambda item: item[0])
    return frames, times[-1] + duration


def _all_sound(data: bytes) -> tuple[list[tuple[float, FloatArray]], int, tuple[float, float]]:
    """Times and mono samples of all blocks, their rate, and from when to when the track's packets last."""
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.audio:
            return [], 0, (0.0, 0.0)
        packets = [p for p in container.demux(audio=0) if p.size]
        begins = [float((p.pts if p.pts is not None else p.dts) * p.time_base) for p in packets]
        end = begins[-1] + float((packets[-1].duration or 0) * packets[-1].time_base)
    with av.open(io.BytesIO(data)) as container:
        decoded: list[Any] = list(container.decode(audio=0))
    blocks = []
    for block in decoded:
        array = block.to_ndarray().astype(np.float64)
        channels = len(block.layout.channels)
        if not block.format.is_planar:
            array = array.reshape(-1, channels).T
        scale = {"s16": 2**15, "s16p": 2**15, "s32": 2**31, "s32p": 2**31}.get(block.format.name, 1)
        total = np.zeros(array.shape[1])
        for channel in range(channels):
            total += array[channel]
        blocks.append((float(block.pts * block.time_base), total / channels / scale))
    return blocks, decoded[0].sample_rate, (min(begins), end)


def _shown(frames: list[tuple[float, npt.NDArray[np.uint8]]], moment: float) -> npt.NDArray[np.uint8]:
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


def _resize(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
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
