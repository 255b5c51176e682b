"""Quality of a window: level, clipping, brightness, padding and size of the face."""

from __future__ import annotations

import numpy as np
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import SAMPLE_RATE
from avemotion.preprocessing.report import QUIETEST
from tests.support.clips import drawing, noise, synthetic_clip
from tests.support.data import data_path


def tone(amplitude: float) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("amplitude", [0.5, 0.01])
def test_level_of_a_tone_is_its_root_mean_square(amplitude: float) -> None:
    quality = read_clip(synthetic_clip(waveform=tone(amplitude), sample_rate=SAMPLE_RATE)).quality
    assert quality.audio_level == pytest.approx(20 * np.log10(amplitude / np.sqrt(2)), abs=0.05)
    assert quality.clipping == 0


def test_level_is_that_of_the_sound_and_not_of_the_padding() -> None:
    sound = tone(0.5)[:SAMPLE_RATE]
    quality = read_clip(
        synthetic_clip(video_codec=None, container="wav", waveform=sound, sample_rate=SAMPLE_RATE)
    ).quality
    assert quality.audio_level == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.05)
    assert quality.padding == pytest.approx(2 / 3, abs=0.001)


@pytest.mark.parametrize("rate", [16_000, 48_000])
def test_clipping_is_the_share_of_samples_that_were_cut_off(rate: int) -> None:
    times = np.arange(3 * rate) / rate
    for amplitude, share in ((0.9, 0), (4, 1 - 2 / np.pi * np.arcsin(0.25))):
        cut_off = np.clip(amplitude * np.sin(2 * np.pi * 200 * times), -1, 1).astype(np.float32)
        clip = read_clip(synthetic_clip(container="wav", video_codec=None, waveform=cut_off, sample_rate=rate))
        assert clip.quality.clipping == pytest.approx(share, abs=0.05)


def test_silence_has_the_lowest_level() -> None:
    quality = read_clip(synthetic_clip(waveform=np.zeros(3 * 48_000, np.float32))).quality
    assert quality.audio_level == QUIETEST


def test_brightness_is_the_mean_of_what_the_model_sees() -> None:
    clip = read_clip(synthetic_clip(audio_codec=None, frame_times=[0]), crop="none")
    assert clip.quality.brightness == pytest.approx(drawing(0, 160, 120).mean() / 255, abs=0.01)
    assert clip.quality.brightness == pytest.approx(clip.frames.mean() / 255, abs=0.01)


def test_parts_that_are_missing_have_no_quality() -> None:
    quality = read_clip(synthetic_clip(audio_codec=None), crop="none").quality
    assert (quality.face_height, quality.audio_level, quality.clipping, quality.padding) == (None, None, None, 0)
    quality = read_clip(synthetic_clip(video_codec=None, container="wav")).quality
    assert (quality.face_height, quality.brightness) == (None, None)


def test_sound_that_starts_late_is_padding() -> None:
    data = synthetic_clip(frame_times=range(0, 3000, 40), waveform=noise(1.2, SAMPLE_RATE), sample_rate=SAMPLE_RATE)
    assert read_clip(data).quality.padding == pytest.approx(0.6, abs=0.01)


def test_size_of_a_face_is_a_fraction_of_the_height_of_the_frame() -> None:
    clip = read_clip(data_path("clips/chrome_a01_neutral_vp8.webm"))
    assert clip.face is not None
    assert clip.quality.face_height == clip.face.height
    assert 0.4 < clip.face.height < 0.8
