"""From a clip to the tensors of the window at its centre.

`Window` holds the tensors for every reader: `read_clip` here, `avemotion.preprocessing.sampled.read_sampled` and
`avemotion.preprocessing.timeline.read_timeline`. All of them end in `make_window`, so that face detection, crop,
resizing and log-mel spectrogram are the same code.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound, read_sound
from avemotion.preprocessing.contract import (
    FRAMES,
    LOG_MEL,
    NOT_FOUND,
    PRESENT,
    WINDOW_SAMPLES,
    WINDOW_SECONDS,
    CropMode,
)
from avemotion.preprocessing.errors import DamagedMediaError
from avemotion.preprocessing.execution import both, stage
from avemotion.preprocessing.face import Crops, crop_frames
from avemotion.preprocessing.face_detector import FaceBox
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.limits import DecodeBudget, MediaLimits
from avemotion.preprocessing.log_mel import log_mel
from avemotion.preprocessing.media import Media, Track, open_media
from avemotion.preprocessing.report import ClipReport, Quality, describe_audio, describe_video, measure_quality
from avemotion.preprocessing.video import read_frames, retry_on_one_core, sample_times

SHORTEST_WINDOW = 1e-3
"""Length of the window of a clip that consists of one frame, in seconds: its parts must differ."""


@dataclass(frozen=True)
class Window:
    """The tensors of one window, as the contract defines them, without batch dimension.

    Attributes:
        frames: uint8 [8, 112, 112, 3] RGB; zeros if video is missing.
        log_mel: float32 [64, 188] in [-1, 1]; zeros if audio is missing.
        present: bool [2]: whether there is video, whether there is audio.
        start: Start of the window, in seconds.
        length: Length of the part of the window that the clip covers, in seconds; at most the contract's.
        face: The face of the person whom the frames show; None if no face was found or looked for.
        faces: Number of people seen; 0 if none was looked for.
        quality: Measurements of the frames and the sound.
        missing: For each modality that the tensors lack, the reason, as a sentence.
    """

    frames: npt.NDArray[np.uint8]
    log_mel: npt.NDArray[np.float32]
    present: npt.NDArray[np.bool_]
    start: float
    length: float
    face: FaceBox | None
    faces: int
    quality: Quality
    missing: dict[str, str]

    def tensors(self) -> dict[str, npt.NDArray[Any]]:
        """The model's inputs by name, with a batch dimension of 1."""
        return {
            FRAMES.name: self.frames[None],
            LOG_MEL.name: self.log_mel[None],
            PRESENT.name: self.present[None],
        }


@dataclass(frozen=True)
class Clip(Window):
    """The window of a clip, with its waveform and a report on the file.

    Attributes:
        waveform: float32 [48000] in [-1, 1] at 16 kHz, from which `log_mel` is computed; zeros if audio is missing.
        report: Container, duration and tracks.
    """

    waveform: npt.NDArray[np.float32]
    report: ClipReport


@dataclass(frozen=True)
class DecodedWindow:
    """The frames and the sound of one window, before they become tensors.

    Attributes:
        frames: Eight frames in order; empty if video is missing.
        sound: The sound, padded to the contract's length; None if audio is missing.
        start: Start of the window, in seconds.
        length: Length of the part of the window that the clip covers, in seconds; at most the contract's.
        missing: For each modality that is missing, the reason, as a sentence.
    """

    frames: list[Frame]
    sound: Sound | None
    start: float
    length: float
    missing: dict[str, str]


def read_clip(source: bytes | Path, *, crop: CropMode = "face", limits: MediaLimits | None = None) -> Clip:
    """Decode the three seconds at the centre of a clip into the tensors of the contract.

    Args:
        source: The file's bytes or its path.
        crop: `face` crops a square around the face; `none` squeezes the whole frame.
        limits: Limits of what is decoded; the defaults of `MediaLimits` if None.

    Returns:
        The tensors and the report. The tensor of a missing modality is zeros, and `missing` gives the reason. `start`
        is in presentation time.

    Raises:
        MediaError: A subclass gives the reason why the clip cannot be read.
    """
    decoded, report = decode_window(source, limits=limits)
    return make_clip(decoded, report, crop)


def decode_window(source: bytes | Path, *, limits: MediaLimits | None = None) -> tuple[DecodedWindow, ClipReport]:
    """Decode the frames and the sound of the three seconds at the centre of a clip.

    The window is centred on the time that both tracks share, and extends beyond it if that is shorter than the window.
    A clip shorter than the window is read whole: its frames come from the midpoints of its eight equal parts, and its
    audio is padded at the end.

    Args:
        source: The file's bytes or its path.
        limits: Limits of what is decoded; the defaults of `MediaLimits` if None.

    Returns:
        The window, whose `start` is in presentation time, and the report on the file.

    Raises:
        MediaError: A subclass gives the reason why the clip cannot be read.
    """
    return retry_on_one_core(lambda: _decode_window(source, limits or MediaLimits()))


def make_clip(decoded: DecodedWindow, report: ClipReport, crop: CropMode) -> Clip:
    """Compute the tensors of a clip's only window.

    Args:
        decoded: The window's frames and sound.
        report: What is known about the file.
        crop: How frames are cropped.
    """
    window = make_window(decoded, crop)
    heard = decoded.sound is not None and not decoded.sound.silent
    waveform = decoded.sound.waveform if decoded.sound and heard else np.zeros(WINDOW_SAMPLES, np.float32)
    return Clip(**vars(window), waveform=waveform, report=report)


def make_window(decoded: DecodedWindow, crop: CropMode, follow: FaceBox | None = None) -> Window:
    """Compute the tensors of a window: crop and resize its frames, take the log-mel spectrogram of its sound.

    Args:
        decoded: The window's frames and sound. Silence counts as missing audio.
        crop: How frames are cropped. Without a face, video counts as missing if faces are to be cropped.
        follow: Where the person to be followed was seen last; None for the most prominent person.
    """
    sound, missing = decoded.sound, decoded.missing
    with stage("crop"):
        crops = crop_frames(decoded.frames, crop, follow) if decoded.frames else Crops(None, None, 0)
    if decoded.frames and crops.pixels is None:
        missing = missing | {"video": NOT_FOUND["video"]}
    if sound is not None and sound.silent:
        missing = missing | {"audio": "The audio track is silent."}
    with stage("mel"):
        spectrogram = None if sound is None or sound.silent else log_mel(sound.waveform)
    return Window(
        frames=FRAMES.zeros()[0] if crops.pixels is None else crops.pixels,
        log_mel=LOG_MEL.zeros()[0] if spectrogram is None else spectrogram,
        present=np.array([crops.pixels is not None, spectrogram is not None]),
        start=decoded.start,
        length=decoded.length,
        face=crops.face,
        faces=crops.people,
        quality=measure_quality(crops.pixels, crops.face, sound, decoded.length),
        missing=missing,
    )


def _decode_window(source: bytes | Path, limits: MediaLimits) -> tuple[DecodedWindow, ClipReport]:
    budget = DecodeBudget(limits)
    with open_media(source, budget.limits) as media:
        start, length = _central_window(media)
        missing, inaudible = dict(media.missing), dict[str, str]()
        frames, sound = both(
            lambda: _read_video(media.video, sample_times(start, length), budget, missing),
            lambda: read_audio(media.audio, start, length, budget, inaudible),
        )
        missing |= inaudible
        if not frames and sound is None:
            raise DamagedMediaError(f"Nothing in the file could be decoded: {' '.join(missing.values())}")
        report = ClipReport(
            container=media.container,
            duration=media.end - media.start,
            video=describe_video(media.video, frames[0]) if media.video and frames else None,
            audio=describe_audio(media.audio) if media.audio and sound else None,
        )
        window = None if sound is None else sound.window(0, length)
        return DecodedWindow(frames, window, start, length, missing), report


def _read_video(track: Track | None, times: list[float], budget: DecodeBudget, missing: dict[str, str]) -> list[Frame]:
    """The frames on display at given times; empty, with the reason added to `missing`, if there are none."""
    if track is None:
        return []
    frames = list(read_frames(track, times, budget))
    if not frames:
        missing["video"] = f"The video track ({track.codec}) could not be decoded."
    return frames


def read_audio(
    track: Track | None, start: float, length: float, budget: DecodeBudget, missing: dict[str, str]
) -> Sound | None:
    """The sound of a part of a clip; None, with the reason added to `missing`, if there is none."""
    if track is None:
        return None
    sound = read_sound(track, start, length, budget)
    if sound is None:
        missing["audio"] = f"The audio track ({track.codec}) could not be decoded."
    return sound


def _central_window(media: Media) -> tuple[float, float]:
    """Start of the window in presentation time, and its length, both in seconds."""
    shared_start = media.shared_start
    shared_end = min(track.end for track in media.tracks)
    if shared_end - shared_start < WINDOW_SECONDS:
        shared_end = max(shared_end, min(media.end, shared_start + WINDOW_SECONDS))
    length = min(WINDOW_SECONDS, max(shared_end - shared_start, SHORTEST_WINDOW))
    return (shared_start + shared_end - length) / 2, length
