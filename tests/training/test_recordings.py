"""A voice recorded otherwise is the same voice: whole, and with the noise and silence that were asked for."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from preprocessing.contract import SAMPLE_RATE, WINDOW_SAMPLES
from tests.support.caches import draw_cache
from training.data.recordings import RecordingChanges, change_recording, coloured_noise, shifted, speech_of
from training.network import EmotionNetwork, NetworkConfig
from training.robustness import CONDITIONS, recall_when_recorded_otherwise

NOTHING = RecordingChanges(moved=0, shift=0, noisy=0, padded=0)
BEGIN, END = 16_000, 35_200


@pytest.fixture
def voice() -> npt.NDArray[np.float32]:
    """A loud sound between two seconds of hiss at -60 dB."""
    random = np.random.default_rng(0)
    waveform = random.normal(0, 2e-4, WINDOW_SAMPLES)
    waveform[BEGIN:END] += np.sin(2 * np.pi * 220 * np.arange(END - BEGIN) / SAMPLE_RATE) * 0.3
    return waveform.astype(np.float32)


def test_speech_is_found_between_silence(voice: npt.NDArray[np.float32]) -> None:
    assert speech_of(voice) == (BEGIN, END)
    assert speech_of(np.zeros(WINDOW_SAMPLES, np.float32)) == (0, WINDOW_SAMPLES)


def test_moved_speech_is_whole_and_begins_anywhere(voice: npt.NDArray[np.float32]) -> None:
    begins = []
    for seed in range(40):
        changes = RecordingChanges(moved=1, noisy=0, padded=0)
        changed = change_recording(voice, np.random.default_rng(seed), changes)
        place = int(np.argmax(np.correlate(changed, voice[BEGIN:END], "valid")))
        np.testing.assert_array_equal(changed[place : place + END - BEGIN], voice[BEGIN:END])
        begins.append(place)
    assert min(begins) < 3_000
    assert max(begins) > WINDOW_SAMPLES - (END - BEGIN) - 3_000


def test_noise_has_the_level_and_the_slope_that_were_asked_for(voice: npt.NDArray[np.float32]) -> None:
    changes = RecordingChanges(moved=0, shift=0, noisy=1, noise=(20, 20), colour=(1, 1), padded=0)
    noise = change_recording(voice, np.random.default_rng(0), changes) - voice
    assert 10 * np.log10(np.mean(voice**2) / np.mean(noise**2)) == pytest.approx(20, abs=0.01)
    for slope in (0, 1, 2):
        power = np.abs(np.fft.rfft(coloured_noise(WINDOW_SAMPLES, slope, np.random.default_rng(1)))) ** 2
        low, high = power[300:900].mean(), power[3_000:9_000].mean()
        assert np.log10(low / high) == pytest.approx(slope, abs=0.1)


def test_padding_is_digital_silence_that_leaves_speech_whole(voice: npt.NDArray[np.float32]) -> None:
    changes = RecordingChanges(moved=0, shift=0, noisy=0, padded=1)
    changed = change_recording(voice, np.random.default_rng(0), changes)
    np.testing.assert_array_equal(changed[BEGIN:END], voice[BEGIN:END])
    assert not changed[0]
    assert not changed[-1]
    kept = np.flatnonzero(changed)
    np.testing.assert_array_equal(changed[kept[0] : kept[-1] + 1], voice[kept[0] : kept[-1] + 1])


def test_nothing_changes_where_nothing_is_asked_for_and_silence_stays_silence(voice: npt.NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(change_recording(voice, np.random.default_rng(0), NOTHING), voice)
    silence = np.zeros(WINDOW_SAMPLES, np.float32)
    assert not change_recording(silence, np.random.default_rng(0), RecordingChanges(noisy=1)).any()


def test_what_is_shifted_out_is_lost_and_what_comes_in_is_silence(voice: npt.NDArray[np.float32]) -> None:
    np.testing.assert_array_equal(shifted(voice, 100)[100:], voice[:-100])
    np.testing.assert_array_equal(shifted(voice, -100)[:-100], voice[100:])
    assert not shifted(voice, 100)[:100].any()
    assert not shifted(voice, -100)[-100:].any()


def test_every_condition_changes_the_sound_and_is_measured(
    voice: npt.NDArray[np.float32], tmp_path_factory: pytest.TempPathFactory
) -> None:
    changed = {name: change(voice) for name, change in CONDITIONS.items()}
    assert [name for name, waveform in changed.items() if np.array_equal(waveform, voice)] == ["as it is"]
    assert len({waveform.tobytes() for waveform in changed.values()}) == len(CONDITIONS)
    cache = draw_cache(tmp_path_factory.mktemp("voices"), actors=[1])
    recalls = recall_when_recorded_otherwise(EmotionNetwork(NetworkConfig("late")), cache, np.arange(8))
    assert recalls.keys() == CONDITIONS.keys()
    assert recall_when_recorded_otherwise(EmotionNetwork(NetworkConfig("late")), cache, np.arange(0)) == {}
