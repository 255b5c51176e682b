"""Changed copies of voices stay within their limits and are used in training only."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avemotion.preprocessing.contract import LOG_MEL, SAMPLE_RATE, WINDOW_SAMPLES
from avemotion.preprocessing.log_mel import log_mel
from tests.support.caches import synthetic_cache
from training.data.batches import calibration_batches
from training.data.cache import CacheWriter, open_cache
from training.data.samples import ClipSamples
from training.data.waveforms import WaveformChanges, change_waveform
from training.prepare import main

SECONDS = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE


def pitch(waveform: np.ndarray) -> float:
    """Frequency of the strongest partial, in Hz."""
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.fft.rfftfreq(len(waveform), 1 / SAMPLE_RATE)[spectrum.argmax()])


def test_pitch_moves_up_and_down_within_the_limit_and_speed_leaves_it() -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * SECONDS)).astype(np.float32)
    changes = WaveformChanges(semitones=2, stretch=0.1, noise=(60, 60))
    moved = [12 * np.log2(pitch(change_waveform(tone, np.random.default_rng(i), changes)) / 440) for i in range(8)]
    assert -2.1 < min(moved) < -0.5
    assert 0.5 < max(moved) < 2.1
    still = WaveformChanges(semitones=0, stretch=0.1, noise=(60, 60))
    assert pitch(change_waveform(tone, np.random.default_rng(3), still)) == pytest.approx(440, rel=0.01)


def test_speed_changes_the_distance_of_two_words_within_the_limit() -> None:
    words = np.zeros(WINDOW_SAMPLES, np.float32)
    noise = np.random.default_rng(0).normal(0, 0.2, 3200)
    for begin in (12_000, 32_000):
        words[begin : begin + 3200] = noise
    ratios = []
    for seed in range(8):
        changes = WaveformChanges(semitones=0, stretch=0.1, noise=(60, 60))
        changed = change_waveform(words, np.random.default_rng(seed), changes)
        loud = np.convolve(np.square(changed), np.ones(800), "same")
        first, second = loud[:24_000].argmax(), 24_000 + loud[24_000:].argmax()
        ratios.append((second - first) / 20_000)
    assert 0.85 < min(ratios) < 0.97
    assert 1.03 < max(ratios) < 1.15


def test_noise_is_as_loud_as_it_may_be() -> None:
    tone = (0.3 * np.sin(2 * np.pi * 440 * SECONDS)).astype(np.float32)
    changes = WaveformChanges(semitones=0, stretch=0, noise=(20, 20))
    changed = change_waveform(tone, np.random.default_rng(0), changes)
    middle = slice(8000, 40_000)
    spectrum = np.abs(np.fft.rfft(changed[middle])) ** 2
    peak = spectrum.argmax()
    signal = spectrum[peak - 4 : peak + 5].sum()
    assert 10 * np.log10(signal / (spectrum.sum() - signal)) == pytest.approx(20, abs=1)


def test_silence_stays_silence() -> None:
    silence = np.zeros(WINDOW_SAMPLES, np.float32)
    assert not change_waveform(silence, np.random.default_rng(0), WaveformChanges()).any()


def test_copies_are_training_samples_alone_and_come_again(tmp_path: Path) -> None:
    cache = synthetic_cache(tmp_path, actors=range(1, 7))
    known = {log_mel(cache.waveform(clip)).tobytes() for clip in range(len(cache.records))}
    assert main(["copies", str(tmp_path), "--count", "1", "--workers", "1"]) == 0
    cache = open_cache(tmp_path)
    assert cache.copies is not None
    assert cache.copies.shape == (1, len(cache.waveforms), WINDOW_SAMPLES)
    assert all(cache.copies[0, row].any() for row in cache.rows)
    index = np.arange(len(cache.records))
    plain, changed, again = (
        [ClipSamples(cache, index, copies=copies).arrays(i)[LOG_MEL.name].tobytes() for i in range(20)]
        for copies in (False, True, True)
    )
    assert set(plain) <= known
    assert 0.2 < np.mean([each not in known for each in changed]) < 0.8
    assert changed == again
    for batch in calibration_batches(tmp_path, 20, seed=0):
        assert {each.tobytes() for each in batch[LOG_MEL.name]} <= known


def test_copies_of_clips_that_changed_or_are_not_wanted_any_more_are_removed(tmp_path: Path) -> None:
    synthetic_cache(tmp_path, actors=[1])
    for stale in ("other clips", "not wanted"):
        assert main(["copies", str(tmp_path), "--count", "2", "--workers", "1"]) == 0
        cache = open_cache(tmp_path)
        assert len({cache.waveform(0, number).tobytes() for number in range(cache.waveform_count)}) == 3
        if stale == "other clips":
            CacheWriter(tmp_path, keep=range(7), capacity=0)
        else:
            assert main(["copies", str(tmp_path), "--count", "0"]) == 0
        assert open_cache(tmp_path).copies is None
