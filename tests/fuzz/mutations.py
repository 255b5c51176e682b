"""Damaged and hostile files, made from good ones by a seed."""

from __future__ import annotations

import io
import wave
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from tests.support.clips import noise, synthetic_clip

BOUNDARIES: Final = (0, 1, 0x7F, 0x80, 0xFF)
"""Byte values at which sizes, counts and signs turn over."""

_TIMES = range(0, 1200, 100)

_DRAWN: Final[tuple[dict[str, Any], ...]] = (
    {"container": "mp4", "video_codec": "libx264", "audio_codec": "aac"},
    {"container": "mov", "video_codec": "libx264", "audio_codec": "pcm_s16le", "options": {"bf": "3"}},
    {"container": "webm", "video_codec": "libvpx", "audio_codec": "libopus"},
    {"container": "webm", "video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    {"container": "matroska"},
    {"container": "avi", "video_codec": "mpeg4", "audio_codec": "pcm_s16le"},
    {"container": "flac", "video_codec": None, "audio_codec": "flac"},
)


def originals() -> list[bytes]:
    """Good files of every container that is read, small, so that a mutation is likely to hit what matters."""
    clips = [
        synthetic_clip(**changes, frame_times=_TIMES, audio_seconds=1.2, width=96, height=64) for changes in _DRAWN
    ]
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes((noise(1.0, 16_000) * 32767).astype("<i2").tobytes())
    return [*clips, buffer.getvalue()]


def mutant(files: list[bytes], random: np.random.Generator) -> bytes:
    """One damaged file: one to three of the damages below, to one of the files."""
    data = files[int(random.integers(len(files)))]
    for _ in range(int(random.integers(1, 4))):
        damage = _DAMAGES[int(random.integers(len(_DAMAGES)))]
        data = damage(data, files, random)
    return data


def _position(length: int, random: np.random.Generator) -> int:
    """A place in a file; in half of the cases among the first or last 2 KiB, where headers and indexes lie."""
    near = min(length, int(random.integers(1, 2049)))
    return (int(random.integers(0, max(1, length))), near - 1, max(0, length - near))[int(random.integers(3))]


def _flip_bits(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _bit in range(int(random.integers(1, 40))):
        changed[_position(len(changed), random)] ^= 1 << int(random.integers(8))
    return bytes(changed)


def _set_bytes(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    changed = bytearray(data)
    for _place in range(int(random.integers(1, 12))):
        begin = _position(len(changed), random)
        value = (*BOUNDARIES, int(random.integers(256)))[int(random.integers(len(BOUNDARIES) + 1))]
        length = int(random.choice([1, 2, 4, 8]))
        changed[begin : begin + length] = bytes([value]) * min(length, len(changed) - begin)
    return bytes(changed)


def _truncate(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    return data[: max(1, _position(len(data), random))]


def _cut_out(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    begin = _position(len(data), random)
    return data[:begin] + data[begin + int(random.integers(1, 512)) :] or b"\0"


def _repeat(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    begin = _position(len(data), random)
    part = data[begin : begin + int(random.integers(1, 2048))]
    return data[:begin] + part * int(random.integers(2, 20)) + data[begin:]


def _splice(data: bytes, files: list[bytes], random: np.random.Generator) -> bytes:
    """The head of one file before the rest of another."""
    other = files[int(random.integers(len(files)))]
    return data[: _position(len(data), random) + 1] + other[_position(len(other), random) :]


def _insert_noise(data: bytes, _: list[bytes], random: np.random.Generator) -> bytes:
    begin = _position(len(data), random)
    return data[:begin] + random.bytes(int(random.integers(1, 256))) + data[begin:]


_DAMAGES: Final[tuple[Callable[[bytes, list[bytes], np.random.Generator], bytes], ...]] = (
    _flip_bits,
    _flip_bits,
    _set_bytes,
    _set_bytes,
    _truncate,
    _cut_out,
    _repeat,
    _splice,
    _insert_noise,
)
