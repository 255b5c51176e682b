"""The clips that benchmarks read and send."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from avemotion.client.sampling import Sampling, sample_clip
from avemotion.preprocessing.contract import WINDOW_SECONDS
from loadtest.clips import DATA_VARIABLE, synthetic_clip
from loadtest.payloads import Payload, multipart

RECORDING: Final = "recording"
ORIGINAL: Final = "original"
SAMPLED: Final = "sampled"

MEANINGS: Final = {
    RECORDING: "3 s of 640×480 VP8 and Opus, recorded by Chrome (990 kB)",
    ORIGINAL: "3.3 s of 1280×720 H.264 and AAC, an original of RAVDESS (3.4 MB)",
    SAMPLED: "the recording's 8 JPEG frames and WAV for `/predict/sampled`",
}
FILES: Final = {
    RECORDING: "chrome_a01_disgust_vp8.webm",
    ORIGINAL: "01-01-01-01-01-01-01.mp4",
    "recording-vp9": "chrome_a01_disgust_vp9.webm",
    "recording-h264": "chrome_a01_disgust_avc1.mp4",
}
"""File names below `$EMO_DATA/clips`."""

SAMPLING: Final = Sampling(longest_side=384, jpeg_quality=0.7)
"""How `/contract` tells clients to sample."""


def clip(name: str) -> bytes:
    """A clip's bytes; a synthetic clip of the same size and a similar codec if there is no real one."""
    path = Path(os.environ.get(DATA_VARIABLE, "")) / "clips" / FILES[name]
    if path.is_file():
        return path.read_bytes()
    if FILES[name].endswith(".webm"):
        return synthetic_clip(WINDOW_SECONDS, "webm", "libvpx", "libopus", seed=0)
    width, height = (1280, 720) if name == ORIGINAL else (640, 480)
    return synthetic_clip(WINDOW_SECONDS, "mp4", "libx264", "aac", seed=0, width=width, height=height)


def upload(data: bytes, path: str = "/predict") -> Payload:
    """A clip as `/predict` and `/predict/timeline` take it."""
    return multipart(path, [("file", "video/webm", data)])


def payload(name: str) -> Payload:
    """A clip's request: `/predict/sampled` for `SAMPLED`, else `/predict`."""
    if name != SAMPLED:
        return upload(clip(name))
    sampled = sample_clip(clip(RECORDING), SAMPLING)
    parts = [("frames", "image/jpeg", jpeg) for jpeg in sampled.frames]
    if sampled.audio is not None:
        parts.append(("audio", "audio/wav", sampled.audio))
    return multipart("/predict/sampled", parts)
