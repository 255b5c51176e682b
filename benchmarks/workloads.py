"""What is sent: a browser's recording, a camera's original, and the sampled form of the recording."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import httpx

from avemotion.client.errors import ClientError
from avemotion.client.rest import EmotionClient
from avemotion.client.sampling import SampledClip, Sampling, sample_clip
from avemotion.preprocessing.contract import WINDOW_SECONDS
from loadtest.clips import DATA_VARIABLE, synthetic_clip
from loadtest.payloads import Payload, multipart

RECORDING = "recording"
ORIGINAL = "original"
SAMPLED = "sampled"

_FILES = {
    RECORDING: "clips/chrome_a01_disgust_vp8.webm",
    ORIGINAL: "clips/01-01-01-01-01-01-01.mp4",
}
MEANINGS = {
    RECORDING: "3 s of 640×480 VP8 and Opus, recorded by Chrome (990 kB)",
    ORIGINAL: "3.3 s of 1280×720 H.264 and AAC, an original of RAVDESS (3.4 MB)",
    SAMPLED: "the recording's 8 JPEG frames and WAV for /predict/sampled",
}


def clip(name: str) -> bytes:
    """A clip by its name; drawn where there are no recordings."""
    data = os.environ.get(DATA_VARIABLE)
    if data and (path := Path(data) / _FILES[name]).is_file():
        return path.read_bytes()
    if name == RECORDING:
        return synthetic_clip(WINDOW_SECONDS, "webm", "libvpx", "libopus", seed=0)
    return synthetic_clip(WINDOW_SECONDS, "mp4", "libx264", "aac", seed=0, width=1280, height=720)


def is_real() -> bool:
    """Whether the clips are recordings."""
    data = os.environ.get(DATA_VARIABLE)
    return bool(data) and all((Path(str(data)) / path).is_file() for path in _FILES.values())


def upload(data: bytes, path: str = "/predict") -> Payload:
    """A clip as `/predict` takes it, from every contender alike."""
    return multipart(path, [("file", "video/webm", data)])


def batch(clips: list[bytes]) -> Payload:
    """Clips as `/predict/batch` takes them."""
    return multipart("/predict/batch", [("files", "video/webm", data) for data in clips])


def payloads(address: str, names: Sequence[str]) -> dict[str, Payload]:
    """Clips by their names, ready to be sent; `SAMPLED` is left out where the server has no endpoint for it.

    Args:
        address: The server's URL.
        names: Of the clips.
    """
    found = {name: upload(clip(name)) for name in names if name != SAMPLED}
    if SAMPLED in names and (taken := sampled(address, clip(RECORDING))) is not None:
        found[SAMPLED] = taken
    return found


def sampled(address: str, data: bytes) -> Payload | None:
    """A clip as `/predict/sampled` takes it; None where the server has no such endpoint."""
    try:
        with EmotionClient(address) as gateway:
            contract = gateway.contract()
    except (ClientError, httpx.HTTPError):
        return None
    return sampled_payload(sample_clip(data, Sampling.of_contract(contract)))


def sampled_payload(taken: SampledClip) -> Payload:
    """A sampled clip as a form."""
    parts = [("frames", "image/jpeg", jpeg) for jpeg in taken.frames]
    if taken.audio is not None:
        parts.append(("audio", "audio/wav", taken.audio))
    return multipart("/predict/sampled", parts)
