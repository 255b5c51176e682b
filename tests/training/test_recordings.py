"""A changed recording keeps the whole voice, with the requested noise and silence."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from avemotion.preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from tests.support.caches import synthetic_cache
from training.data.recordings import RecordingChanges, change_recordings, coloured_noise, shifted, speech_of
from training.network import EmotionNetwork, NetworkConfig
from training.robustness import CONDITIONS, recall_when_recorded_otherwise

NOTHING = RecordingChanges(moved=0, shift=0, noisy=0, padded=0)
BEGIN, END = 16_000, 35_200


@pytest.fixture
def voice() -> Tensor:
    """A loud sound between two seconds of hiss at -60 dB; [1, 48000]."""
    random = np.random.default_rng(0)
    waveform = random.normal(0, 2e-4, WINDOW_SAMPLES)
    waveform[BEGIN:END] += np.sin(2 * np.pi * 220 * np.arange(END - BEGIN) / SAMPLE_RATE) * 0.3
    return torch.from_numpy(waveform.astype(np.float32))[None]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_speech_is_found_between_silence(voice: Tensor) -> None:
    begin, end = speech_of(torch.cat((voice, torch.zeros_like(voice))))
    assert begin.tolist() == [BEGIN, 0]
    assert end.tolist() == [END, WINDOW_SAMPLES]


def test_moved_speech_is_whole_and_begins_anywhere(voice: Tensor) -> None:
    changed = change_recordings(voice.repeat(40, 1), RecordingChanges(moved=1, noisy=0, padded=0), seeded(0)).numpy()
    speech = voice[0, BEGIN:END].numpy()
    spectrum = np.fft.rfft(speech, WINDOW_SAMPLES).conj()
    begins = []
    for waveform in changed:
        place = int(np.fft.irfft(np.fft.rfft(waveform) * spectrum)[: WINDOW_SAMPLES - len(speech) + 1].argmax())
        np.testing.assert_array_equal(waveform[place : place + len(speech)], speech)
        begins.append(place)
    assert min(begins) < 3_000
    assert max(begins) > WINDOW_SAMPLES - (END - BEGIN) - 3_000


def test_noise_has_the_level_and_the_slope_that_were_asked_for(voice: Tensor) -> None:
    changes = RecordingChanges(moved=0, shift=0, noisy=1, noise=(20, 20), colour=(1, 1), padded=0)
    noise = (change_recordings(voice, changes, seeded(0)) - voice).numpy()
    assert 10 * np.log10(np.mean(voice.numpy() ** 2) / np.mean(noise**2)) == pytest.approx(20, abs=0.01)
    slopes = torch.tensor([0.0, 1.0, 2.0])
    for slope, coloured in zip(slopes.tolist(), coloured_noise(WINDOW_SAMPLES, slopes, seeded(1)).numpy(), strict=True):
        power = np.abs(np.fft.rfft(coloured)) ** 2
        low, high = power[300:900].mean(), power[3_000:9_000].mean()
        assert np.log10(low / high) == pytest.approx(slope, abs=0.1)


def test_padding_is_digital_silence_that_leaves_speech_whole(voice: Tensor) -> None:
    changes = RecordingChanges(moved=0, shift=0, noisy=0, padded=1)
    changed = change_recordings(voice, changes, seeded(0))[0].numpy()
    np.testing.assert_array_equal(changed[BEGIN:END], voice[0, BEGIN:END].numpy())
    assert not changed[0]
    assert not changed[-1]
    kept = np.flatnonzero(changed)
    np.testing.assert_array_equal(changed[kept[0] : kept[-1] + 1], voice[0, kept[0] : kept[-1] + 1].numpy())


def test_nothing_changes_where_nothing_is_asked_for_and_silence_stays_silence(voice: Tensor) -> None:
    assert torch.equal(change_recordings(voice, NOTHING, seeded(0)), voice)
    assert not change_recordings(torch.zeros_like(voice), RecordingChanges(noisy=1), seeded(0)).any()


def test_voices_of_a_batch_are_changed_by_amounts_of_their_own(voice: Tensor) -> None:
    changed = change_recordings(voice.repeat(3, 1), RecordingChanges(moved=1, noisy=1, padded=1), seeded(0))
    assert len({waveform.numpy().tobytes() for waveform in changed}) == 3
    again = change_recordings(voice.repeat(3, 1), RecordingChanges(moved=1, noisy=1, padded=1), seeded(0))
    assert torch.equal(changed, again)


def test_what_is_shifted_out_is_lost_and_what_comes_in_is_silence(voice: Tensor) -> None:
    later, earlier = shifted(voice.repeat(2, 1), torch.tensor([100, -100]))
    assert torch.equal(later[100:], voice[0, :-100])
    assert torch.equal(earlier[:-100], voice[0, 100:])
    assert not later[:100].any()
    assert not earlier[-100:].any()


def test_every_condition_changes_the_sound_and_is_measured(
    voice: Tensor, tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = {name: change(voice) for name, change in CONDITIONS.items()}
    assert [name for name, waveform in changed.items() if torch.equal(waveform, voice)] == ["unchanged"]
    assert len({waveform.numpy().tobytes() for waveform in changed.values()}) == len(CONDITIONS)
    cache = synthetic_cache(tmp_path_factory.mktemp("voices"), actors=[1])
    recalls = recall_when_recorded_otherwise(EmotionNetwork(NetworkConfig("late")), cache, np.arange(4))
    assert recalls.keys() == CONDITIONS.keys()
    assert recall_when_recorded_otherwise(EmotionNetwork(NetworkConfig("late")), cache, np.arange(0)) == {}
