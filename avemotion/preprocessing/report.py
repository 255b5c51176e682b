"""What is known about a clip beside its tensors: its tracks, and the quality of its frames and its sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.audio import Sound
from avemotion.preprocessing.contract import WINDOW_SECONDS
from avemotion.preprocessing.face_detector import FaceBox
from avemotion.preprocessing.frame import Frame
from avemotion.preprocessing.media import Track

QUIETEST: Final = -120.0
"""Level reported for digital silence, in dBFS: JSON has no minus infinity."""

CLIPPED: Final = 0.99
"""Samples at or beyond this count as clipped: resampling to 16 kHz rounds the corners of samples cut off at 1."""

_LUMA: Final = np.array([0.299, 0.587, 0.114])
"""Weights of red, green and blue (ITU-R BT.601)."""


@dataclass(frozen=True)
class VideoTrack:
    """A video track.

    Attributes:
        codec: FFmpeg's name of the codec.
        width: Width of the upright frame, in pixels.
        height: Height of the upright frame, in pixels.
        frame_rate: Mean frames per second by timestamps; None if unknown, as for a single frame.
        rotation: Degrees by which frames are turned counter-clockwise to be upright: 0, 90, 180 or 270; if they are
            mirrored, too, after that.
    """

    codec: str
    width: int
    height: int
    frame_rate: float | None
    rotation: int


@dataclass(frozen=True)
class AudioTrack:
    """An audio track.

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
    """What is known about a file.

    Attributes:
        container: FFmpeg's name of the container.
        duration: From the first to the last presentation time, in seconds.
        video: The video track that was decoded, if any.
        audio: The audio track that was decoded, if any.
    """

    container: str
    duration: float
    video: VideoTrack | None
    audio: AudioTrack | None


@dataclass(frozen=True)
class Quality:
    """Measurements of a window, so that a page can say "too dark" or "microphone silent".

    Attributes:
        face_height: Height of the detected face, as a fraction of the frame's; None without a face.
        brightness: Mean luma of the model's input frames, 0 (black) to 1 (white); None if video is missing.
        audio_level: Root mean square of the sound, in dB relative to full scale, at least `QUIETEST`; None without an
            audio track.
        clipping: Share of the samples at or beyond `CLIPPED`, 0 to 1; None without an audio track.
        padding: Share of the window that is padding, 0 to 1: silence in gaps of the audio track and after its end; or,
            without an audio track, the part of the window that the video does not cover.
    """

    face_height: float | None
    brightness: float | None
    audio_level: float | None
    clipping: float | None
    padding: float


def describe_video(track: Track, frame: Frame) -> VideoTrack:
    """Describe a video track.

    Args:
        track: The track.
        frame: One of its frames.
    """
    return VideoTrack(track.codec, frame.width, frame.height, track.frame_rate, 90 * frame.quarter_turns)


def describe_audio(track: Track) -> AudioTrack:
    """Describe an audio track of which some samples have been decoded."""
    context = track.stream.codec_context
    return AudioTrack(track.codec, context.sample_rate, len(context.layout.channels))


def measure_quality(
    frames: npt.NDArray[np.uint8] | None, face: FaceBox | None, sound: Sound | None, length: float
) -> Quality:
    """Measure the quality of one window.

    Args:
        frames: uint8 [8, 112, 112, 3] RGB; None without video or face.
        face: The detected face.
        sound: The window's sound; None if there is no audio track or it could not be decoded.
        length: Length of the part of the window that the clip covers, in seconds.
    """
    covered = length if sound is None else sound.covered
    return Quality(
        face_height=None if face is None else face.height,
        brightness=None if frames is None else _brightness(frames),
        audio_level=None if sound is None else _level(sound.waveform, sound.covered),
        clipping=None if sound is None else float(np.mean(np.abs(sound.waveform) >= CLIPPED)),
        padding=min(1.0, max(0.0, 1 - covered / WINDOW_SECONDS)),
    )


def _brightness(frames: npt.NDArray[np.uint8]) -> float:
    """Mean luma, 0 to 1, by OpenCV: numpy's mean of bytes takes fifteen times as long."""
    mean = cv2.mean(frames.reshape(-1, frames.shape[-2], frames.shape[-1]))
    return float(mean[:3] @ _LUMA / 255)


def _level(waveform: npt.NDArray[np.float32], covered: float) -> float:
    """Level of the sound without its padding, in dBFS."""
    if covered <= 0:
        return QUIETEST
    power = float(np.mean(np.square(waveform, dtype=np.float64))) * WINDOW_SECONDS / covered
    return max(QUIETEST, 10 * float(np.log10(power))) if power > 0 else QUIETEST
