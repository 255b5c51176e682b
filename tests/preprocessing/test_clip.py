"""Synthetic clips, whose frames and samples are known, become the expected tensors."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from avemotion.preprocessing.clip import Clip, read_clip
from avemotion.preprocessing.contract import FRAME_COUNT, INPUTS, SAMPLE_RATE, WINDOW_SAMPLES
from tests.support.clips import noise, shown_index, synthetic_clip

BOTH_TRACKS = {
    "matroska": {"container": "matroska"},
    "webm_vp8_opus": {"container": "webm", "video_codec": "libvpx", "audio_codec": "libopus"},
    "webm_vp9_opus": {"container": "webm", "video_codec": "libvpx-vp9", "audio_codec": "libopus"},
    "mp4_h264_aac": {"container": "mp4", "video_codec": "libx264", "audio_codec": "aac"},
    "mov_h264_pcm": {"container": "mov", "video_codec": "libx264", "audio_codec": "pcm_s16le"},
    "avi_mpeg4_pcm": {"container": "avi", "video_codec": "mpeg4", "audio_codec": "pcm_s16le"},
}


def read_whole(data: bytes) -> Clip:
    """A clip whose frames show all of the drawing, by which they are told apart."""
    return read_clip(data, crop="none")


def shown(clip: Clip) -> list[int]:
    """Which drawn frame each of the sampled ones is."""
    return [shown_index(frame) for frame in clip.frames]


def frames_on_display(times: list[int], start: float, length: float) -> list[int]:
    """The slow plain way: for each midpoint in milliseconds, the last frame at or before it."""
    midpoints = [start + (part + 0.5) * length / FRAME_COUNT for part in range(FRAME_COUNT)]
    return [max([i for i, time in enumerate(times) if time <= midpoint], default=0) for midpoint in midpoints]


@pytest.mark.parametrize("name", BOTH_TRACKS)
def test_every_container_gives_both_modalities_and_the_right_frames(name: str) -> None:
    clip = read_whole(synthetic_clip(**BOTH_TRACKS[name]))
    assert clip.present.tolist() == [True, True]
    assert clip.missing == {}
    assert shown(clip) == frames_on_display(list(range(0, 3000, 40)), 0, clip.length * 1000)


@pytest.mark.parametrize(("container", "codec"), [("wav", "pcm_s16le"), ("flac", "flac")])
def test_sound_alone_is_read_and_the_report_says_that_there_is_no_video(container: str, codec: str) -> None:
    clip = read_clip(synthetic_clip(container=container, video_codec=None, audio_codec=codec))
    assert clip.present.tolist() == [False, True]
    assert clip.missing == {"video": "The file has no video track."}
    assert not clip.frames.any()
    assert clip.report.audio is not None
    assert clip.report.audio.codec == codec


def test_video_alone_is_read_and_the_report_says_that_there_is_no_sound() -> None:
    clip = read_clip(synthetic_clip(audio_codec=None))
    assert clip.present.tolist() == [True, False]
    assert clip.missing == {"audio": "The file has no audio track."}
    assert not clip.log_mel.any()


def test_silence_counts_as_missing_sound() -> None:
    clip = read_clip(synthetic_clip(waveform=np.zeros(3 * 48_000, np.float32)))
    assert clip.present.tolist() == [True, False]
    assert clip.missing == {"audio": "The audio track is silent."}


def test_frames_of_a_variable_rate_are_chosen_by_presentation_time() -> None:
    times = [0, 33, 66, 480, 500, 900, 910, 1300, 1333, 1700, 2090, 2100, 2500, 2533, 2960]
    assert shown(read_whole(synthetic_clip(frame_times=times))) == frames_on_display(times, 0, 3000)


def test_a_long_clip_is_read_at_its_centre_although_most_of_it_is_never_decoded() -> None:
    times = list(range(0, 12_000, 120))
    clip = read_whole(synthetic_clip(frame_times=times, audio_seconds=12.0, options={"g": "5"}))
    assert clip.start == pytest.approx(4.5, abs=0.07)
    assert clip.report.duration == pytest.approx(12.0, abs=0.13)
    assert shown(clip) == frames_on_display(times, clip.start * 1000, 3000)


def test_group_of_pictures_with_reordered_frames_gives_the_same_frames_as_plain_ones() -> None:
    times = list(range(0, 9_000, 90))
    options = {"g": "20", "bf": "3", "crf": "10"}
    clip = read_whole(
        synthetic_clip(container="mp4", video_codec="libx264", audio_codec=None, frame_times=times, options=options)
    )
    assert shown(clip) == frames_on_display(times, clip.start * 1000, 3000)


def test_a_clip_shorter_than_the_window_is_padded_and_never_stretched() -> None:
    sound = noise(1.0, SAMPLE_RATE)
    clip = read_whole(synthetic_clip(frame_times=range(0, 1000, 40), waveform=sound, sample_rate=SAMPLE_RATE))
    np.testing.assert_allclose(clip.waveform[:SAMPLE_RATE], sound, atol=1e-4)
    assert not clip.waveform[SAMPLE_RATE:].any()
    assert shown(clip) == frames_on_display(list(range(0, 1000, 40)), 0, 1000)


def test_one_single_frame_is_shown_eight_times() -> None:
    clip = read_whole(synthetic_clip(frame_times=[0], audio_codec=None))
    assert shown(clip) == [0] * FRAME_COUNT


def test_sound_that_starts_later_than_the_video_is_aligned_on_their_common_start() -> None:
    times = list(range(0, 4000, 40))
    sound = noise(3.0, SAMPLE_RATE)
    clip = read_whole(synthetic_clip(frame_times=times, waveform=sound, sample_rate=SAMPLE_RATE, audio_start=1000))
    assert clip.start == pytest.approx(1.0, abs=0.01)
    offset = round((clip.start - 1.0) * SAMPLE_RATE)
    np.testing.assert_allclose(clip.waveform[: WINDOW_SAMPLES - 200 - offset], sound[offset:-200], atol=1e-4)
    assert shown(clip) == frames_on_display(times, clip.start * 1000, 3000)


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
def test_downmixing_keeps_the_level(layout: str) -> None:
    sound = noise(3.0, SAMPLE_RATE)
    clip = read_clip(
        synthetic_clip(container="wav", video_codec=None, audio_layout=layout, waveform=sound, sample_rate=SAMPLE_RATE)
    )
    np.testing.assert_allclose(clip.waveform, sound, atol=1e-4)


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000, 96_000])
def test_every_sampling_rate_keeps_a_tone_at_its_pitch_level_and_time(rate: int) -> None:
    times = np.arange(3 * rate) / rate
    tone = (0.5 * np.sin(2 * np.pi * 500 * times)).astype(np.float32)
    clip = read_clip(synthetic_clip(container="wav", video_codec=None, waveform=tone, sample_rate=rate))
    expected = 0.5 * np.sin(2 * np.pi * 500 * np.arange(WINDOW_SAMPLES) / SAMPLE_RATE)
    middle = slice(1_000, -1_000)
    np.testing.assert_allclose(clip.waveform[middle], expected[middle], atol=0.01)


@pytest.mark.parametrize("codec", ["pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le"])
def test_every_sample_format_has_the_same_scale(codec: str) -> None:
    sound = noise(3.0, SAMPLE_RATE)
    clip = read_clip(
        synthetic_clip(container="wav", video_codec=None, audio_codec=codec, waveform=sound, sample_rate=SAMPLE_RATE)
    )
    np.testing.assert_allclose(clip.waveform, sound, atol=0.01)


def test_tensors_have_the_contracts_names_types_and_shapes() -> None:
    tensors = read_clip(synthetic_clip()).tensors()
    assert {name: (array.dtype.name, array.shape) for name, array in tensors.items()} == {
        spec.name: (spec.dtype, (1, *spec.shape)) for spec in INPUTS
    }


def test_a_path_and_its_bytes_give_the_same_tensors(tmp_path: Path) -> None:
    data = synthetic_clip()
    path = tmp_path / "clip with a wrong ending.txt"
    path.write_bytes(data)
    np.testing.assert_array_equal(read_clip(path).frames, read_clip(data).frames)
    np.testing.assert_array_equal(read_clip(path).log_mel, read_clip(data).log_mel)


def test_sound_of_a_single_sample_is_read() -> None:
    clip = read_clip(
        synthetic_clip(container="wav", video_codec=None, waveform=np.full(1, 0.5, np.float32), sample_rate=96_000)
    )
    assert clip.report.audio is not None


def test_clips_that_are_read_by_several_threads_at_once_do_not_disturb_each_other() -> None:
    clips = [
        synthetic_clip(width=width, height=height) for width, height in ((160, 120), (240, 176), (320, 240), (98, 76))
    ]
    alone = [read_clip(clip).frames for clip in clips]
    with ThreadPoolExecutor(len(clips)) as pool:
        together = list(pool.map(read_clip, clips * 5))
    for number, clip in enumerate(together):
        np.testing.assert_array_equal(clip.frames, alone[number % len(clips)])
