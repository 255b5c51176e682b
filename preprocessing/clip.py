"""A clip becomes tensors, and a report of what was found in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from preprocessing.audio import SILENCE_PEAK, read_waveform
from preprocessing.contract import (
    FRAMES,
    LOG_MEL,
    PRESENT,
    WINDOW_SAMPLES,
    WINDOW_SECONDS,
    CropMode,
)
from preprocessing.errors import DamagedMediaError
from preprocessing.face import FaceBox, crop_square, find_face
from preprocessing.log_mel import log_mel
from preprocessing.media import Media, Track, open_media
from preprocessing.video import frame_rate, read_pictures, sample_times

_SHORTEST_WINDOW = 1e-3
"""A single frame has no length; its window gets this many seconds, so that its parts differ."""


@dataclass(frozen=True)
class VideoTrack:
    """What is known of a video track.

    Attributes:
        codec: FFmpeg's name of the codec.
        width: Width of the upright frame, in pixels.
        height: Height of the upright frame, in pixels.
        frame_rate: Mean frames per second by timestamps; None where there is one frame only.
        rotation: Degrees by which frames are turned counter-clockwise to be upright: 0, 90, 180 or 270.
    """

    codec: str
    width: int
    height: int
    frame_rate: float | None
    rotation: int


@dataclass(frozen=True)
class AudioTrack:
    """What is known of an audio track.

    Attributes:
        codec: FFmpeg's name of the codec.
        sample_rate: Samples per second as stored, in Hz.
        channels: Number of channels as stored.
    """

    codec: str
    sample_rate: int
    channels: int


@dataclass(frozen=True)
class ClipReport:
    """What was found in a clip.

    Attributes:
        container: FFmpeg's name of the container.
        duration: From the first to the last presentation time, in seconds.
        window_start: Start of the window in presentation time, in seconds.
        window_length: Length of the window, in seconds, at most the contract's.
        video: The video track that was used, if any.
        audio: The audio track that was used, if any.
        face: Where the face is; None where none was found or looked for.
        missing: For each modality that is not in the tensors, why, as a sentence.
    """

    container: str
    duration: float
    window_start: float
    window_length: float
    video: VideoTrack | None
    audio: AudioTrack | None
    face: FaceBox | None
    missing: dict[str, str]


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


def read_clip(source: bytes | Path, *, crop: CropMode = "face") -> Clip:
    """Decode the three seconds at the centre of a clip into the tensors of the contract.

    The window is centred on the time that both tracks share, and reaches beyond it where that is shorter than the
    window. A clip shorter than the window is read whole: its frames come from the midpoints of eight equal parts
    of what there is, and its audio is padded at the end.

    Args:
        source: The file's bytes or its path.
        crop: `face` cuts a square around the face; `none` squeezes the whole frame.

    Returns:
        The tensors and the report. A modality that is missing is zeros, and the report says why.

    Raises:
        MediaError: A subclass says why nothing could be read.
    """
    with open_media(source) as media:
        start, length = _window(media)
        missing = dict(media.missing)
        frames, video, face = _read_video(media.video, start, length, crop, missing)
        waveform, audio = _read_audio(media.audio, start, length, missing)
        if frames is None and audio is None:
            raise DamagedMediaError(f"Nothing in the file could be decoded: {' '.join(missing.values())}")
        tracks = [track for track in (media.video, media.audio) if track is not None]
        report = ClipReport(
            container=media.container,
            duration=max(track.end for track in tracks) - min(track.start for track in tracks),
            window_start=start,
            window_length=length,
            video=video,
            audio=audio,
            face=face,
            missing=missing,
        )
    heard = "audio" not in missing
    return Clip(
        frames=FRAMES.zeros()[0] if frames is None else frames,
        log_mel=log_mel(waveform) if heard else LOG_MEL.zeros()[0],
        present=np.array([frames is not None, heard]),
        waveform=waveform,
        report=report,
    )


def _window(media: Media) -> tuple[float, float]:
    """Start and length of the window, in seconds of presentation time."""
    tracks = [track for track in (media.video, media.audio) if track is not None]
    shared_start = max(track.start for track in tracks)
    shared_end = min(track.end for track in tracks)
    last_end = max(track.end for track in tracks)
    if shared_end - shared_start < WINDOW_SECONDS:
        shared_end = max(shared_end, min(last_end, shared_start + WINDOW_SECONDS))
    length = min(WINDOW_SECONDS, max(shared_end - shared_start, _SHORTEST_WINDOW))
    return (shared_start + shared_end - length) / 2, length


def _read_video(
    track: Track | None, start: float, length: float, crop: CropMode, missing: dict[str, str]
) -> tuple[npt.NDArray[np.uint8] | None, VideoTrack | None, FaceBox | None]:
    if track is None:
        return None, None, None
    pictures = read_pictures(track, sample_times(start, length))
    if not pictures:
        missing["video"] = f"The video track ({track.codec}) could not be decoded."
        return None, None, None
    first = pictures[0]
    face = find_face(pictures) if crop == "face" else None
    region = crop_square(face, first.width, first.height) if crop == "face" else None
    found = VideoTrack(track.codec, first.width, first.height, frame_rate(track), 90 * first.quarter_turns)
    return np.stack([picture.resized(region) for picture in pictures]), found, face


def _read_audio(
    track: Track | None, start: float, length: float, missing: dict[str, str]
) -> tuple[npt.NDArray[np.float32], AudioTrack | None]:
    silence = np.zeros(WINDOW_SAMPLES, np.float32)
    if track is None:
        return silence, None
    waveform = read_waveform(track, start, length)
    if waveform is None:
        missing["audio"] = f"The audio track ({track.codec}) could not be decoded."
        return silence, None
    context = track.stream.codec_context
    found = AudioTrack(track.codec, context.sample_rate, len(context.layout.channels))
    if np.abs(waveform).max() < SILENCE_PEAK:
        missing["audio"] = "The audio track is silent."
        return silence, found
    return waveform, found
