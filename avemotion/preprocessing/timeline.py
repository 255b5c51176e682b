"""A clip of up to a minute becomes a row of windows in one decoding pass.

Each window is cut as `read_clip` would cut it out of the clip: its frames lie at the midpoints of its eight equal
parts, and its face box is the median over a few of its own frames. Windows overlap by most of their length, so that
the box moves like a running median over three seconds, without a jump where the detector misses one frame.

A decoded frame is kept only while a window that shows it is open, at most three seconds, and at most at the size
of 1080p, so that memory does not grow with the clip.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.clip import SHORTEST_WINDOW, read_audio
from avemotion.preprocessing.contract import FRAME_COUNT, FRAMES, LOG_MEL, PRESENT, WINDOW_SECONDS, CropMode
from avemotion.preprocessing.errors import ClipTooLongError, DamagedMediaError
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.media import Media, Track, open_media
from avemotion.preprocessing.picture import Picture
from avemotion.preprocessing.report import AudioTrack, VideoTrack, describe_audio, describe_video
from avemotion.preprocessing.video import on_one_core_where_damaged, read_pictures, sample_times
from avemotion.preprocessing.window import Window, make_window

LONGEST: Final = 60.0
"""Default of the longest clip that is read, in seconds."""

KEPT_PIXELS: Final = 1920 * 1088
"""Frames with more pixels are reduced while they wait for their windows; 24 wait at a step of 0.5 s."""

_OVERSHOOT: Final = 0.25
"""A clip may be longer than the longest by this many seconds: codecs fill up their last frame, and recorders stop a
moment after they are told to, so that a minute is seldom sixty seconds."""

_APART: Final = 0.5
"""Windows start when both tracks have begun, unless one of them begins later than the other by more than this."""

_ROUNDING: Final = 0.02
"""A last window may reach this many seconds beyond the clip: recordings of 3 s are often 2.99 s long."""


@dataclass(frozen=True)
class Timeline:
    """The windows of a clip.

    Attributes:
        container: FFmpeg's name of the container.
        duration: From the first to the last presentation time, in seconds.
        step: Seconds between the starts of two windows.
        video: The video track that was used, if any.
        audio: The audio track that was used, if any.
        windows: The windows in order, at least one; `start` counts from the clip's first presentation time.
    """

    container: str
    duration: float
    step: float
    video: VideoTrack | None
    audio: AudioTrack | None
    windows: list[Window]

    def tensors(self, first: int = 0, last: int | None = None) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs by name, batched over the windows `first` to `last` (exclusive)."""
        windows = self.windows[first:last]
        return {
            FRAMES.name: np.stack([window.frames for window in windows]),
            LOG_MEL.name: np.stack([window.log_mel for window in windows]),
            PRESENT.name: np.stack([window.present for window in windows]),
        }


def read_timeline(
    source: bytes | Path,
    *,
    step: float = 0.5,
    crop: CropMode = "face",
    longest: float = LONGEST,
    limits: MediaLimits | None = None,
) -> Timeline:
    """Decode a clip once into windows of three seconds.

    Windows start when both tracks have begun, and then every `step` seconds, as far as they lie inside the clip; a
    clip shorter than the window gives one, as with `read_clip`. Where one of the tracks does not reach a window, that
    modality is missing there.

    Args:
        source: The file's bytes or its path.
        step: Seconds between the starts of two windows, above 0.
        crop: `face` cuts a square around the face; `none` squeezes the whole frame.
        longest: Longest clip that is read, in seconds; a quarter of a second more is let pass.
        limits: How much is decoded at most; the defaults of `MediaLimits` where None.

    Raises:
        ClipTooLongError: The clip is longer than `longest`.
        MediaError: Another subclass says why nothing could be read.
        ValueError: The step is not above 0.
    """
    if step <= 0:
        raise ValueError(f"The step is {step:g} s; it must be above 0.")
    return on_one_core_where_damaged(lambda: _read_timeline(source, step, crop, longest, limits or MediaLimits()))


def _read_timeline(source: bytes | Path, step: float, crop: CropMode, longest: float, limits: MediaLimits) -> Timeline:
    budget = DecodeBudget(limits)
    with open_media(source, budget.limits) as media:
        duration = media.end - media.start
        if duration > longest + _OVERSHOOT:
            raise ClipTooLongError(f"The clip is {duration:.2f} s long; the limit of a timeline is {longest:g} s.")
        start = media.shared_start if media.shared_start - media.start <= _APART else media.start
        end = max(media.end, start + SHORTEST_WINDOW)
        length = min(WINDOW_SECONDS, end - start)
        count = 1 + max(0, int((end - start - length + _ROUNDING) / step))
        starts = [start + index * step for index in range(count)]
        missing = dict(media.missing)
        sound = read_audio(media.audio, start, end - start, budget, missing)
        windows: list[Window] = []
        video: VideoTrack | None = None
        for window_start, pictures in zip(starts, _pictures(media.video, starts, length, budget), strict=True):
            if pictures and media.video and video is None:
                video = describe_video(media.video, pictures[0])
            offset = window_start - start
            windows.append(_make_window(media, pictures, sound, offset, start=window_start, length=length, crop=crop))
        if video is None and sound is None:
            raise DamagedMediaError(f"Nothing in the file could be decoded: {' '.join(windows[0].missing.values())}")
        audio = describe_audio(media.audio) if media.audio and sound else None
        return Timeline(media.container, duration, step, video, audio, windows)


def _make_window(
    media: Media,
    pictures: list[Picture],
    sound: Sound | None,
    offset: float,
    *,
    start: float,
    length: float,
    crop: CropMode,
) -> Window:
    missing = dict(media.missing)
    heard = None if sound is None else sound.window(offset, length)
    if media.video and not pictures:
        missing["video"] = _absence("video", media.video, start, length)
    if media.audio and (heard is None or not heard.spans):
        heard = None
        missing["audio"] = _absence("audio", media.audio, start, length)
    return make_window(pictures, heard, start=start - media.start, length=length, crop=crop, missing=missing)


def _absence(kind: str, track: Track, start: float, length: float) -> str:
    """Why a modality is missing in a window although the clip has a track of it."""
    if _reaches(track, start, length):
        return f"The {kind} track ({track.codec}) could not be decoded."
    return f"The {kind} track does not reach this window."


def _reaches(track: Track, start: float, length: float) -> bool:
    return track.start < start + length and start < max(track.end, track.start + SHORTEST_WINDOW)


def _pictures(track: Track | None, starts: list[float], length: float, budget: DecodeBudget) -> Iterator[list[Picture]]:
    """For each window its pictures, or none; kept only until the window is complete."""
    reached = [track is not None and _reaches(track, start, length) for start in starts]
    moments = sorted(
        (time, index) for index, start in enumerate(starts) if reached[index] for time in sample_times(start, length)
    )
    found: dict[int, list[Picture]] = defaultdict(list)
    done = 0
    if track is not None and moments:
        reduced: tuple[Picture, Picture] | None = None
        shown = read_pictures(track, [time for time, _ in moments], budget)
        for (_, index), picture in zip(moments, shown, strict=False):
            if reduced is None or reduced[0].frame is not picture.frame:
                reduced = picture, picture.reduced(KEPT_PIXELS)
            found[index].append(reduced[1])
            while done < len(starts) and (len(found[done]) == FRAME_COUNT or not reached[done]):
                yield found.pop(done)
                done += 1
    for index in range(done, len(starts)):
        yield found.pop(index, [])
