"""A clip of up to a minute becomes a sequence of windows in one decoding pass.

Each window equals what `read_clip` returns for that part of the clip: its frames lie at the midpoints of its eight
equal parts, and its face box is the median over a few of its own frames. The person of the window before is followed
as long as the face is seen. Windows overlap by most of their length, so that the box moves like a running median over
three seconds.

A decoded frame is kept only until the windows that show it are complete, at most three seconds, and at most at the
size of 1080p, so that memory does not grow with the clip.
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
from avemotion.preprocessing.clip import SHORTEST_WINDOW, DecodedWindow, Window, make_window, read_audio
from avemotion.preprocessing.contract import FRAME_COUNT, FRAMES, LOG_MEL, PRESENT, WINDOW_SECONDS, CropMode
from avemotion.preprocessing.errors import ClipTooLongError, DamagedMediaError
from avemotion.preprocessing.face_detector import FaceBox
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.media import Media, Track, open_media
from avemotion.preprocessing.video import read_frames, retry_on_one_core, sample_times

LONGEST: Final = 60.0
"""Default limit of a clip's length, in seconds."""

KEPT_PIXELS: Final = 1920 * 1088
"""Frames with more pixels are reduced while they wait for their windows; 24 wait at a step of 0.5 s."""

_OVERSHOOT: Final = 0.25
"""Seconds by which a clip may exceed the limit: codecs fill up their last frame, and recorders stop a moment late, so
that a recording of a minute is seldom exactly sixty seconds long."""

_APART: Final = 0.5
"""Windows start when both tracks have begun, unless one of them begins later than the other by more than this."""

_ROUNDING: Final = 0.02
"""Seconds by which the last window may extend beyond the clip: recordings of 3 s are often 2.99 s long."""


@dataclass(frozen=True)
class Timeline:
    """The windows of a clip.

    Attributes:
        duration: From the first to the last presentation time, in seconds.
        step: Seconds between the starts of two windows.
        windows: The windows in order, at least one; `start` counts from the clip's first presentation time.
    """

    duration: float
    step: float
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

    Windows start when both tracks have begun, and then every `step` seconds, as long as they lie inside the clip. A
    clip shorter than the window gives one window, as with `read_clip`. If a track does not reach a window, that
    modality is missing there.

    Args:
        source: The file's bytes or its path.
        step: Seconds between the starts of two windows, above 0.
        crop: `face` crops a square around the face; `none` squeezes the whole frame.
        longest: Limit of the clip's length, in seconds, with a tolerance of a quarter of a second.
        limits: Limits of what is decoded; the defaults of `MediaLimits` if None.

    Raises:
        ClipTooLongError: The clip is longer than `longest`.
        MediaError: Another subclass gives the reason why the clip cannot be read.
        ValueError: The step is not above 0.
    """
    if step <= 0:
        raise ValueError(f"The step is {step:g} s; it must be above 0.")
    return retry_on_one_core(lambda: _read_timeline(source, step, crop, longest, limits or MediaLimits()))


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
        sound = read_audio(media.audio, start, end - start, budget, {})
        decoded_video = False
        windows: list[Window] = []
        follow: FaceBox | None = None
        for window_start, frames in zip(starts, _frames(media.video, starts, length, budget), strict=True):
            heard = None if sound is None else sound.window(window_start - start, length)
            windows.append(make_window(_decoded_window(media, frames, heard, window_start, length), crop, follow))
            follow = windows[-1].face or follow
            decoded_video = decoded_video or bool(frames)
        if not decoded_video and sound is None:
            raise DamagedMediaError(f"Nothing in the file could be decoded: {' '.join(windows[0].missing.values())}")
        return Timeline(duration, step, windows)


def _decoded_window(
    media: Media, frames: list[Frame], sound: Sound | None, start: float, length: float
) -> DecodedWindow:
    """One window, with the reasons for what it lacks; `start` counts from the first presentation time from here on."""
    missing = dict(media.missing)
    if media.video and not frames:
        missing["video"] = _absence("video", media.video, start, length)
    if media.audio and (sound is None or not sound.spans):
        sound = None
        missing["audio"] = _absence("audio", media.audio, start, length)
    return DecodedWindow(frames, sound, start - media.start, length, missing)


def _absence(kind: str, track: Track, start: float, length: float) -> str:
    """Why a modality is missing in a window although the clip has a track of it."""
    if _reaches(track, start, length):
        return f"The {kind} track ({track.codec}) could not be decoded."
    return f"The {kind} track does not reach this window."


def _reaches(track: Track, start: float, length: float) -> bool:
    return track.start < start + length and start < max(track.end, track.start + SHORTEST_WINDOW)


def _frames(track: Track | None, starts: list[float], length: float, budget: DecodeBudget) -> Iterator[list[Frame]]:
    """For each window its frames, or an empty list; each frame is kept only until its windows are complete."""
    reached = [track is not None and _reaches(track, start, length) for start in starts]
    moments = sorted(
        (time, index) for index, start in enumerate(starts) if reached[index] for time in sample_times(start, length)
    )
    found: dict[int, list[Frame]] = defaultdict(list)
    done = 0
    if track is not None and moments:
        reduced: tuple[Frame, Frame] | None = None
        shown = read_frames(track, [time for time, _ in moments], budget)
        for (_, index), frame in zip(moments, shown, strict=False):
            if reduced is None or reduced[0].stored is not frame.stored:
                reduced = frame, frame.reduced(KEPT_PIXELS)
            found[index].append(reduced[1])
            while done < len(starts) and (len(found[done]) == FRAME_COUNT or not reached[done]):
                yield found.pop(done)
                done += 1
    for index in range(done, len(starts)):
        yield found.pop(index, [])
