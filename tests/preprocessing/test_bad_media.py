"""Files that are not valid clips are rejected with an error that gives the reason."""

from __future__ import annotations

import io
import wave

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.errors import (
    DamagedMediaError,
    EmptyMediaError,
    MediaError,
    NoTracksError,
    UnsupportedMediaError,
)
from tests.support.clips import synthetic_clip


def test_no_bytes_are_refused() -> None:
    with pytest.raises(EmptyMediaError, match=r"empty \(0 bytes\); expected mp4, mov, webm"):
        read_clip(b"")


@pytest.mark.parametrize(
    "data",
    [
        b"Dear sir, this is a letter and not a clip. " * 50,
        np.random.default_rng(0).bytes(20_000),
        b"#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:9.009,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x89PNG\r\n\x1a\n" + bytes(200),
    ],
    ids=["text", "random_bytes", "playlist", "concat_script", "picture"],
)
def test_content_of_another_format_is_refused_naming_the_formats(data: bytes) -> None:
    with pytest.raises(UnsupportedMediaError, match="expected mp4, mov, webm, matroska, avi, wav or flac"):
        read_clip(data)


def test_an_mp4_cut_off_before_its_index_is_damaged() -> None:
    data = synthetic_clip(container="mp4", video_codec="libx264", audio_codec="aac")
    with pytest.raises(DamagedMediaError, match="damaged or cut off"):
        read_clip(data[: len(data) // 2])


def test_a_webm_cut_off_in_the_middle_gives_what_came_before_the_cut() -> None:
    data = synthetic_clip(container="webm", video_codec="libvpx", audio_codec="libopus")
    clip = read_clip(data[: len(data) // 2])
    assert clip.present.tolist() == [True, True]
    assert clip.report.duration < 2.5


def test_a_container_without_any_sample_is_refused() -> None:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as header_only:
        header_only.setparams((1, 2, 16_000, 0, "NONE", ""))
    with pytest.raises(NoTracksError, match=r"The file has no video track\. The audio track has no data\."):
        read_clip(buffer.getvalue())


def test_unknown_codecs_are_refused_saying_so() -> None:
    data = synthetic_clip(container="matroska")
    data = data.replace(b"V_FFV1", b"V_XXXX").replace(b"A_PCM/INT/LIT", b"A_XXX/INT/LIT")
    with pytest.raises(
        NoTracksError, match=r"codec of the video track is unknown.*codec of the audio track is unknown"
    ):
        read_clip(data)


def test_damaged_packets_cost_their_frames_and_not_the_clip() -> None:
    data = bytearray(synthetic_clip(container="webm", video_codec="libvpx", audio_codec="libopus"))
    random = np.random.default_rng(3)
    for position in random.integers(len(data) // 2, len(data), 20):
        data[position] ^= 0xFF
    assert read_clip(bytes(data)).present.any()


def test_mutated_files_never_raise_anything_but_media_errors() -> None:
    random = np.random.default_rng(7)
    original = synthetic_clip(container="mp4", video_codec="libx264", audio_codec="aac", frame_times=range(0, 800, 40))
    for _ in range(200):
        data = bytearray(original)
        for position in random.integers(0, len(data), random.integers(1, 30)):
            data[position] = random.integers(256)
        try:
            clip = read_clip(bytes(data[: random.integers(len(data) // 2, len(data) + 1)]))
        except MediaError as error:
            assert error.message.endswith(".")  # noqa: PT017 - most mutants are still readable
        else:
            assert clip.present.any()
