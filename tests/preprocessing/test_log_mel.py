"""The log-mel spectrogram equals librosa's, which is not a dependency of serving."""

from __future__ import annotations

from collections.abc import Callable

import librosa
import numpy as np
import numpy.typing as npt
import pytest

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import (
    DECIBEL_FLOOR,
    FFT_SIZE,
    HOP_LENGTH,
    LOG_MEL,
    MEL_BINS,
    SAMPLE_RATE,
    WINDOW_SAMPLES,
)
from avemotion.preprocessing.log_mel import log_mel
from tests.support.clips import noise
from tests.support.data import data_path

Waveform = npt.NDArray[np.float32]


def librosa_decibels(waveform: Waveform) -> npt.NDArray[np.float64]:
    power = librosa.feature.melspectrogram(
        y=waveform.astype(np.float64), sr=SAMPLE_RATE, n_fft=FFT_SIZE, hop_length=HOP_LENGTH, n_mels=MEL_BINS
    )
    return np.asarray(librosa.power_to_db(power, ref=np.max, top_db=DECIBEL_FLOOR))


def decibels(scaled: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    return (scaled.astype(np.float64) - 1) * DECIBEL_FLOOR / 2


def silence() -> Waveform:
    return np.zeros(WINDOW_SAMPLES, np.float32)


def clicks() -> Waveform:
    waveform = silence()
    waveform[[0, 9_001, 20_000, WINDOW_SAMPLES - 1]] = [0.9, -0.5, 1.0, 0.3]
    return waveform


def short_noise() -> Waveform:
    return np.pad(noise(0.7, SAMPLE_RATE), (0, WINDOW_SAMPLES - round(0.7 * SAMPLE_RATE)))


def tone() -> Waveform:
    return (0.5 * np.sin(2 * np.pi * 440 * np.arange(WINDOW_SAMPLES) / SAMPLE_RATE)).astype(np.float32)


@pytest.mark.parametrize("make", [silence, clicks, short_noise, tone, lambda: noise(3.0, SAMPLE_RATE)])
def test_log_mel_equals_librosa_on_drawn_sound(make: Callable[[], Waveform]) -> None:
    waveform = make()
    np.testing.assert_allclose(decibels(log_mel(waveform)), librosa_decibels(waveform), atol=1e-3)


@pytest.mark.parametrize(
    "name", ["ravdess_speech/Actor_01/03-01-05-01-01-01-01.flac", "clips/chrome_a01_disgust_vp8.webm"]
)
def test_log_mel_equals_librosa_on_speech(name: str) -> None:
    clip = read_clip(data_path(name))
    np.testing.assert_allclose(decibels(clip.log_mel), librosa_decibels(clip.waveform), atol=1e-3)


def test_log_mel_has_the_contracts_shape_type_and_range() -> None:
    scaled = log_mel(noise(3.0, SAMPLE_RATE))
    assert scaled.shape == LOG_MEL.shape
    assert scaled.dtype == LOG_MEL.dtype
    assert scaled.min() >= -1
    assert scaled.max() == 1


def test_log_mel_does_not_depend_on_level() -> None:
    waveform = noise(3.0, SAMPLE_RATE)
    np.testing.assert_allclose(log_mel(waveform * 0.25), log_mel(waveform), atol=1e-6)


def test_waveform_of_another_length_is_refused_with_both_lengths() -> None:
    with pytest.raises(ValueError, match=r"\(16000,\).*\(48000,\)"):
        log_mel(np.zeros(16_000, np.float32))
