"""Clips to send: Chrome's recordings below `$EMO_DATA/clips`, or synthetic clips if there are none.

There are several of each, because codecs differ in cost and a single clip would hide that.
"""

from __future__ import annotations

import io
import os
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.container import OutputContainer

from avemotion.preprocessing.contract import WINDOW_SECONDS
from loadtest import drawn_face

DATA_VARIABLE = "EMO_DATA"
_SUFFIXES = {".mp4", ".webm", ".mov"}
_FRAME_RATE = 30
_SOUND_RATE = 48_000
_GRAIN = 24
"""Levels of the noise over the picture, of 255."""


@dataclass(frozen=True)
class LoadClip:
    """A clip to send.

    Attributes:
        name: Its name in reports.
        data: The file's bytes.
    """

    name: str
    data: bytes


def load_clips(folder: Path | None = None) -> list[LoadClip]:
    """The clips of a load test.

    Args:
        folder: Folder with recordings; by default `$EMO_DATA/clips`.

    Returns:
        Real recordings, or synthetic clips if there are none.
    """
    if folder is None and (data := os.environ.get(DATA_VARIABLE)):
        folder = Path(data) / "clips"
    if folder is not None:
        found = [
            LoadClip(path.name, path.read_bytes())
            for path in sorted(folder.iterdir())
            if path.suffix in _SUFFIXES and path.name.startswith("chrome")
        ]
        if found:
            return found
    return [
        LoadClip("synthetic_vp8.webm", synthetic_clip(WINDOW_SECONDS, "webm", "libvpx", "libopus", seed=0)),
        LoadClip("synthetic_avc1.mp4", synthetic_clip(WINDOW_SECONDS, "mp4", "libx264", "aac", seed=1)),
        LoadClip("synthetic_silent.mp4", synthetic_clip(WINDOW_SECONDS, "mp4", "libx264", None, seed=2)),
    ]


def synthetic_clip(
    seconds: float,
    container: str,
    video_codec: str,
    audio_codec: str | None,
    *,
    seed: int,
    width: int = 640,
    height: int = 480,
) -> bytes:
    """Encode a clip that costs about as much to read as a recording: a drawn face, noise that moves, and a noisy sound.

    Args:
        seconds: Its length in seconds.
        container: FFmpeg's muxer.
        video_codec: Encoder of the video track.
        audio_codec: Encoder of the audio track; None for a clip without one.
        seed: Seed of everything random.
        width: Width in pixels.
        height: Height in pixels.
    """
    rng = np.random.default_rng(seed)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as file:
        video: Any = file.add_stream(
            video_codec, rate=_FRAME_RATE, options={"deadline": "realtime", "cpu-used": "8", "preset": "ultrafast"}
        )
        video.width, video.height, video.pix_fmt, video.bit_rate = width, height, "yuv420p", 2_500_000
        video.codec_context.time_base = Fraction(1, _FRAME_RATE)
        audio: Any = file.add_stream(audio_codec, rate=_SOUND_RATE, layout="mono") if audio_codec else None
        canvas = rng.integers(0, 256, (height // 16 + 2, width // 16 + 64, 3), np.uint8).repeat(16, 0).repeat(16, 1)
        grain = rng.integers(0, _GRAIN, (height, width + 97, 1), np.uint8)
        faces = drawn_face.frames(width // 2, height, seconds=1.0)
        left = width // 4
        for index in range(round(seconds * _FRAME_RATE)):
            shift = 4 * index % (62 * 16)
            place = 31 * index % 97
            image = canvas[:height, shift : shift + width] // 2
            image[:, left : left + width // 2] = np.minimum(faces[index % len(faces)], 255 - _GRAIN)
            image += grain[:, place : place + width]
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, _FRAME_RATE)
            file.mux(video.encode(frame))
        file.mux(video.encode(None))
        if audio is not None:
            _encode_noise(file, audio, rng, seconds)
    return buffer.getvalue()


def _encode_noise(file: OutputContainer, stream: AudioStream, rng: np.random.Generator, seconds: float) -> None:
    samples = rng.normal(0, 0.1, (1, round(seconds * _SOUND_RATE))).astype(np.float32)
    block = 960
    for begin in range(0, samples.shape[1], block):
        part = np.ascontiguousarray(samples[:, begin : begin + block])
        frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = _SOUND_RATE, begin, Fraction(1, _SOUND_RATE)
        file.mux(stream.encode(frame))
    file.mux(stream.encode(None))
