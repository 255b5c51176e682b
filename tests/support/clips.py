"""Clips drawn at test time, whose every frame and sample is known."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from typing import Any

import av
import numpy as np
import numpy.typing as npt

from loadtest import drawn_face

_DARKEST, _STEP = 28, 22


@dataclass(frozen=True)
class SyntheticClip:
    """How a clip is drawn.

    Attributes:
        container: FFmpeg's muxer.
        video_codec: Encoder of the video track; None leaves the track out.
        audio_codec: Encoder of the audio track; None leaves the track out.
        frame_times: Presentation times in milliseconds; frame i shows `drawing(i)`, counted from `first_drawing`;
            after 100 of them they repeat.
        first_drawing: Which drawing the first frame shows.
        picture: What frame i shows, given i, width and height; `drawing` where None.
        width: Frame width in pixels.
        height: Frame height in pixels.
        sample_rate: Audio samples per second.
        audio_layout: Audio channels.
        audio_start: Presentation time of the first sample, in milliseconds.
        waveform: Mono samples in [-1, 1], the same in every channel; random noise where None.
        audio_seconds: Length of the noise.
        options: Encoder options of the video track.
        pixel_format: Pixel format of the video track.
    """

    container: str = "matroska"
    video_codec: str | None = "ffv1"
    audio_codec: str | None = "pcm_s16le"
    frame_times: Sequence[int] = field(default_factory=lambda: range(0, 3000, 40))
    first_drawing: int = 0
    picture: Callable[[int, int, int], npt.NDArray[np.uint8]] | None = None
    width: int = 160
    height: int = 120
    sample_rate: int = 48_000
    audio_layout: str = "mono"
    audio_start: int = 0
    waveform: npt.NDArray[np.float32] | None = None
    audio_seconds: float = 3.0
    options: dict[str, str] = field(default_factory=dict)
    pixel_format: str = "yuv420p"


def drawing(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """Frame `index` of 100, uint8 [height, width, 3]: a face, and to each side the brightness is one decimal digit."""
    picture = np.empty((height, width, 3), np.uint8)
    picture[:, : width // 2] = _DARKEST + _STEP * (index // 10)
    picture[:, width // 2 :] = _DARKEST + _STEP * (index % 10)
    face = _face(width // 3, min(height, width // 2))
    top, left = (height - face.shape[0]) // 2, (width - face.shape[1]) // 2
    picture[top : top + face.shape[0], left : left + face.shape[1]] = face
    return picture


@cache
def _face(width: int, height: int) -> npt.NDArray[np.uint8]:
    return drawn_face.still(width, height)


def without_face(index: int, width: int, height: int) -> npt.NDArray[np.uint8]:
    """A frame uint8 [height, width, 3] that shows nobody: a slope whose brightness depends on the index."""
    slope = np.linspace(20, 155 + index, width, dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(slope[None, :, None], (height, width, 3)))


def shown_index(picture: npt.NDArray[np.uint8]) -> int:
    """Which frame a picture shows, however it was coded and resized."""
    part = picture.shape[1] // 4
    tens, ones = float(picture[:, :part].mean()), float(picture[:, -part:].mean())
    return 10 * round((tens - _DARKEST) / _STEP) + round((ones - _DARKEST) / _STEP)


def noise(seconds: float, sample_rate: int, seed: int = 0) -> npt.NDArray[np.float32]:
    """Random samples below 0.2 in magnitude."""
    return np.random.default_rng(seed).uniform(-0.2, 0.2, round(seconds * sample_rate)).astype(np.float32)


def synthetic_clip(**changes: Any) -> bytes:
    """Encode a clip.

    Args:
        **changes: Fields of `SyntheticClip` that differ from its defaults, a short matroska file with both tracks,
            losslessly coded.

    Returns:
        The file's bytes.
    """
    clip = SyntheticClip(**changes)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=clip.container) as container:
        video = audio = None
        if clip.video_codec is not None:
            video = container.add_stream(clip.video_codec, rate=25, options=clip.options)
            video.width, video.height, video.pix_fmt = clip.width, clip.height, clip.pixel_format
            video.codec_context.time_base = Fraction(1, 1000)
        if clip.audio_codec is not None:
            audio = container.add_stream(clip.audio_codec, rate=clip.sample_rate, layout=clip.audio_layout)
        if video is not None:
            _draw_video(container, video, clip)
        if audio is not None:
            _draw_audio(container, audio, clip)
    return buffer.getvalue()


def _draw_video(container: Any, stream: Any, clip: SyntheticClip) -> None:
    for index, time in enumerate(clip.frame_times, clip.first_drawing):
        picture = (clip.picture or drawing)(index % 100, clip.width, clip.height)
        frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
        frame.pts, frame.time_base = int(time), Fraction(1, 1000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def _draw_audio(container: Any, stream: Any, clip: SyntheticClip) -> None:
    samples = noise(clip.audio_seconds, clip.sample_rate) if clip.waveform is None else clip.waveform
    channels = len(av.AudioLayout(clip.audio_layout).channels)
    block = 1024
    for begin in range(0, len(samples), block):
        part = samples[begin : begin + block]
        frame = av.AudioFrame.from_ndarray(np.tile(part, (channels, 1)), format="fltp", layout=clip.audio_layout)
        frame.sample_rate = clip.sample_rate
        frame.time_base = Fraction(1, clip.sample_rate)
        frame.pts = begin + clip.audio_start * clip.sample_rate // 1000
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
