"""The slow way from a clip to tensors, written apart from the product: decode everything, plain loops, librosa."""

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
    sound, rate, sound_start = _whole_sound(data)
    starts = [each for each in (frames[0][0] if frames else None, sound_start) if each is not None]
    stops = [ends] if frames else []
    if sound is not None and sound_start is not None:
        stops.append(sound_start + len(sound) / rate)
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
    if sound is not None and sound_start is not None:
        mel = _log_mel(_window_of(sound, rate, start - sound_start, length), rate)
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


def _whole_sound(data: bytes) -> tuple[FloatArray | None, int, float | None]:
    """Mono samples of the whole track, their rate, and when the first one is heard."""
    with av.open(io.BytesIO(data)) as container:
        if not container.streams.audio:
            return None, 0, None
        blocks: list[Any] = list(container.decode(audio=0))
    parts = []
    for block in blocks:
        array = block.to_ndarray().astype(np.float64)
        channels = len(block.layout.channels)
        if not block.format.is_planar:
            array = array.reshape(-1, channels).T
        scale = {"s16": 2**15, "s16p": 2**15, "s32": 2**31, "s32p": 2**31}.get(block.format.name, 1)
        total = np.zeros(array.shape[1])
        for channel in range(channels):
            total += array[channel]
        parts.append(total / channels / scale)
    return np.concatenate(parts), blocks[0].sample_rate, float(blocks[0].pts * blocks[0].time_base)


def _shown(frames: list[tuple[float, npt.NDArray[np.uint8]]], moment: float) -> npt.NDArray[np.uint8]:
    chosen = frames[0][1]
    for time, picture in frames:
        if time <= moment:
            chosen = picture
    return chosen


def _window_of(sound: FloatArray, rate: int, offset: float, length: float) -> FloatArray:
    """Three seconds of samples at the track's own rate, silence where there are none."""
    window = np.zeros(3 * rate)
    for position in range(round(length * rate)):
        source = round(offset * rate) + position
        if 0 <= source < len(sound) and position < len(window):
            window[position] = sound[source]
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
