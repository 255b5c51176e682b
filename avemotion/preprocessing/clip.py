"""A clip becomes tensors, and a report of what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound, read_sound
from avemotion.preprocessing.contract import FRAMES, LOG_MEL, PRESENT, WINDOW_SAMPLES, WINDOW_SECONDS, CropMode
from avemotion.preprocessing.errors import DamagedMediaError
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.media import Media, Track, open_media
from avemotion.preprocessing.parallelism import both
from avemotion.preprocessing.picture import Picture
from avemotion.preprocessing.report import AudioTrack, ClipReport, VideoTrack, describe_audio, describe_video
from avemotion.preprocessing.video import on_one_core_where_damaged, read_pictures, sample_times
from avemotion.preprocessing.window import Window, make_window

SHORTEST_WINDOW = 1e-3
"""A single frame has no length; its window gets this many seconds, so that its parts differ."""


@dataclass(frozen=True)
class Clip:
    """The tensors of one clip, as the contract defines them, without batch dimension.

    Attributes:
        frames: uint8 [8, 112, 112, 3] RGB; zeros where video is missing.
        log_mel: float32 [64, 188] in [-1, 1]; zeros where audio is missing.
        present: bool [2]: is there video, is there audio.
        waveform: float32 [48000] in [-1, 1] at 16 kHz, from which `log_mel` was made.
        report: What was found.
    """

    frames: npt.NDArray[np.uint8]
    log_mel: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    waveform: npt.NDArray[np.float32]
    report: ClipReport

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs by name, with a batch dimension of 1."""
        return {
            FRAMES.name: self.frames[None],
            LOG_MEL.name: self.log_mel[None],
            PRESENT.name: self.present[None],
        }


@dataclass(frozen=True)
class DecodedWindow:
    """The three seconds at the centre of a clip, decoded and not yet cut to the contract's tensors.

    Attributes:
        pictures: Eight pictures in order; none where video is missing.
        sound: The sound; None where audio is missing.
        start: Start of the window in presentation time, in seconds.
        length: Length of what the clip has of the window, in seconds, at most the contract's.
        container: FFmpeg's name of the container.
        duration: From the first to the last presentation time, in seconds.
        video: The video track that was used, if any.
        audio: The audio track that was used, if any.
        missing: For each modality that is missing, why, as a sentence.
    """

    pictures: list[Picture]
    sound: Sound | None
    start: float
    length: float
    container: str
    duration: float
    video: VideoTrack | None
    audio: AudioTrack | None
    missing: dict[str, str]


def read_clip(source: bytes | Path, *, crop: CropMode = "face", limits: MediaLimits | None = None) -> Clip:
    """Decode the three seconds at the centre of a clip into the tensors of the contract.

    Args:
        source: The file's bytes or its path.
        crop: `face` cuts a square around the face; `none` squeezes the whole frame.
        limits: How much is decoded at most; the defaults of `MediaLimits` where None.

    Returns:
        The tensors and the report. A modality that is missing is zeros, and the report says why.

    Raises:
        MediaError: A subclass says why nothing could be read.
    """
    decoded = decode_window(source, limits=limits)
    window = make_window(
        decoded.pictures,
        decoded.sound,
        start=decoded.start,
        length=decoded.length,
        crop=crop,
        missing=decoded.missing,
    )
    return make_clip(
        window,
        decoded.sound,
        container=decoded.container,
        duration=decoded.duration,
        video=decoded.video,
        audio=decoded.audio,
    )


def decode_window(source: bytes | Path, *, limits: MediaLimits | None = None) -> DecodedWindow:
    """Decode what the three seconds at the centre of a clip show and sound like.

    The window is centred on the time that both tracks share, and reaches beyond it where that is shorter than the
    window. A clip shorter than the window is read whole: its frames come from the midpoints of eight equal parts
    of what there is, and its audio is padded at the end.

    Args:
        source: The file's bytes or its path.
        limits: How much is decoded at most; the defaults of `MediaLimits` where None.

    Raises:
        MediaError: A subclass says why nothing could be read.
    """
    return on_one_core_where_damaged(lambda: _decode_window(source, limits or MediaLimits()))


def _decode_window(source: bytes | Path, limits: MediaLimits) -> DecodedWindow:
    budget = DecodeBudget(limits)
    with open_media(source, budget.limits) as media:
        start, length = central_window(media)
        missing, inaudible = dict(media.missing), dict[str, str]()
        pictures, sound = both(
            lambda: _read_video(media.video, sample_times(start, length), budget, missing),
            lambda: read_audio(media.audio, start, length, budget, inaudible),
        )
        missing |= inaudible
        if not pictures and sound is None:
            raise DamagedMediaError(f"Nothing in the file could be decoded: {' '.join(missing.values())}")
        return DecodedWindow(
            pictures,
            None if sound is None else sound.window(0, length),
            start,
            length,
            media.container,
            media.end - media.start,
            describe_video(media.video, pictures[0]) if media.video and pictures else None,
            describe_audio(media.audio) if media.audio and sound else None,
            missing,
        )


def make_clip(
    window: Window,
    sound: Sound | None,
    *,
    container: str,
    duration: float,
    video: VideoTrack | None,
    audio: AudioTrack | None,
) -> Clip:
    """A clip of one window.

    Args:
        window: The window.
        sound: Its sound.
        container: FFmpeg's name of the container.
        duration: Length of the clip, in seconds.
        video: The video track, if any.
        audio: The audio track, if any.
    """
    return Clip(
        frames=window.frames,
        log_mel=window.log_mel,
        present=window.present,
        waveform=np.zeros(WINDOW_SAMPLES, np.float32) if sound is None or sound.silent else sound.waveform,
        report=ClipReport(
            container=container,
            duration=duration,
            window_start=window.start,
            window_length=window.length,
            video=video,
            audio=audio,
            face=window.face,
            quality=window.quality,
            missing=window.missing,
        ),
    )


def _read_video(
    track: Track | None, times: list[float], budget: DecodeBudget, missing: dict[str, str]
) -> list[Picture]:
    """The frames on display at given times, or none, with the reason added to `missing`."""
    if track is None:
        return []
    pictures = list(read_pictures(track, times, budget))
    if not pictures:
        missing["video"] = f"The video track ({track.codec}) could not be decoded."
    return pictures


def read_audio(
    track: Track | None, start: float, length: float, budget: DecodeBudget, missing: dict[str, str]
) -> Sound | None:
    """The sound of a part of a clip, or None, with the reason added to `missing`."""
    if track is None:
        return None
    sound = read_sound(track, start, length, budget)
    if sound is None:
        missing["audio"] = f"The audio track ({track.codec}) could not be decoded."
    return sound


def central_window(media: Media) -> tuple[float, float]:
    """Start and length of the window, in seconds of presentation time."""
    shared_start = media.shared_start
    shared_end = min(track.end for track in media.tracks)
    if shared_end - shared_start < WINDOW_SECONDS:
        shared_end = max(shared_end, min(media.end, shared_start + WINDOW_SECONDS))
    length = min(WINDOW_SECONDS, max(shared_end - shared_start, SHORTEST_WINDOW))
    return (shared_start + shared_end - length) / 2, length
