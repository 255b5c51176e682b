"""The audio branch learns from the spectrograms of serving, changed within the limits."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from avemotion.preprocessing.contract import LABELS, MEL_FRAMES, SAMPLE_RATE, WINDOW_SAMPLES
from avemotion.preprocessing.log_mel import log_mel
from training.data.cache import Cache, open_cache
from training.data.spectrograms import SpeechChanges, changed_log_mel, power_spectrogram, scaled_log_mel
from training.data.splits import split_clips
from training.metrics import unweighted_recall
from training.pretrain_voices import main
from training.start import training_actors
from training.voices import Recipe, class_weights, load_voices, probabilities, train_network

QUICK = replace(Recipe(), epochs=4, recorded_epochs=1, batch_size=4, learning_rate=2e-3, average=0.8)
NOTHING = SpeechChanges(pitch=0, tempo=0, shift=0)


@pytest.fixture
def waveforms() -> torch.Tensor:
    """float32 [2, 48000]: noise, and a tone of 1 kHz that is heard in the middle second."""
    random = np.random.default_rng(0)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(WINDOW_SAMPLES) / SAMPLE_RATE)
    tone[:SAMPLE_RATE] = tone[-SAMPLE_RATE:] = 0
    return torch.from_numpy(np.stack((random.normal(0, 0.1, WINDOW_SAMPLES), tone)).astype(np.float32))


def test_spectrograms_in_torch_equal_those_that_are_served(waveforms: torch.Tensor) -> None:
    expected = np.stack([log_mel(waveform) for waveform in waveforms.numpy()])
    found = scaled_log_mel(power_spectrogram(waveforms))
    # A thousandth of a decibel or so.
    np.testing.assert_allclose(found, expected, atol=2e-4)
    np.testing.assert_allclose(changed_log_mel(waveforms, NOTHING), expected, atol=2e-3)


def test_pitch_tempo_and_time_move_by_no_more_than_is_asked(waveforms: torch.Tensor) -> None:
    torch.manual_seed(0)
    tones = waveforms[1:].repeat(60, 1)
    still = changed_log_mel(waveforms[1:], NOTHING)[0]
    loudest = still.mean(dim=1).argmax()
    pitched = changed_log_mel(tones, SpeechChanges(pitch=0.2, tempo=0, shift=0)).mean(dim=2).argmax(dim=1)
    # 15 mel are 1 kHz; a factor of e^0.2 is 3.2 of Slaney's mel above it, and the filters are 0.7 mel apart.
    assert 1 < (pitched - loudest).abs().max() <= 6
    assert (pitched > loudest).any()
    assert (pitched < loudest).any()

    def heard(log_mels: torch.Tensor) -> torch.Tensor:
        return log_mels[:, loudest] > 0

    length = heard(still[None]).sum()
    longer = heard(changed_log_mel(tones, SpeechChanges(pitch=0, tempo=0.2, shift=0))).sum(dim=1) / length
    assert 0.78 < longer.min() < 0.9
    assert 1.1 < longer.max() < 1.27
    begins = heard(changed_log_mel(tones, SpeechChanges(pitch=0, tempo=0, shift=20))).int().argmax(dim=1)
    moved = begins - heard(still[None]).int().argmax(dim=1)
    assert 10 < moved.max() <= 21 < MEL_FRAMES
    assert -21 <= moved.min() < -10


@pytest.mark.slow
def test_voices_are_learned(paired_cache: Cache) -> None:
    voices = load_voices(paired_cache, torch.device("cpu")).subset(np.arange(3 * len(LABELS)))
    model = train_network(voices, QUICK, 0, "voices")
    found = probabilities(model, voices.waveforms)
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)
    assert unweighted_recall(found, voices.labels.numpy()) > 0.5


def test_rare_classes_count_as_much_as_frequent_ones() -> None:
    labels = torch.tensor([0, 0, 0, 1, 2, 2])
    weights = class_weights(labels)
    totals = torch.zeros(8).index_add(0, labels, weights[labels])
    torch.testing.assert_close(totals[:3], torch.full((3,), 2.0))
    assert not totals[3:].any()


QUICKLY = ["--epochs", "1", "--recorded_epochs", "0", "--batch_size", "8"]


def test_the_command_writes_a_branch_that_says_whom_it_has_heard(small_paired_folder: Path, tmp_path: Path) -> None:
    main([str(small_paired_folder), "--output", str(tmp_path), *QUICKLY, "--part", "branch"])
    report = json.loads((tmp_path / "voices.json").read_text())
    assert set(report["audio.pt"]) == {"training", "validation", "test"}
    cache = open_cache(small_paired_folder)
    trained_on = split_clips(cache, "subject").training
    assert set(training_actors(tmp_path / "audio.pt")) == set(cache.actors[trained_on].tolist())


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_writes_a_branch_of_every_fold_by_several_processes(
    small_paired_folder: Path, tmp_path: Path
) -> None:
    main([str(small_paired_folder), "--output", str(tmp_path), *QUICKLY, "--jobs", "2"])
    report = json.loads((tmp_path / "voices.json").read_text())
    assert len(report["unweighted_recall_by_fold"]) == 6
    everybody = set(open_cache(small_paired_folder).actors.tolist())
    left_out = [everybody - set(training_actors(tmp_path / f"fold-{fold}.pt")) for fold in range(6)]
    assert set().union(*left_out) == everybody
    assert sum(map(len, left_out)) == len(everybody)
    assert set(training_actors(tmp_path / "fold-mixed.pt")) <= everybody
    assert set(report["audio.pt"]) == {"training", "validation", "test"}
