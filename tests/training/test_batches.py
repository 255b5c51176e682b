"""INT8 is calibrated on training actors and faces, and measured on others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from avemotion.preprocessing.contract import INPUTS, LABELS, LOG_MEL
from avemotion.preprocessing.log_mel import log_mel
from training.data.batches import calibration_batches, heldout_batches
from training.data.cache import Cache, CacheError
from training.data.splits import split_clips


def actors_heard(cache: Cache, spectrograms: np.ndarray) -> set[int]:
    actor_of = {
        log_mel(cache.waveforms[row]).tobytes(): record.actor
        for row, record in zip(cache.rows, cache.records, strict=True)
    }
    return {actor_of[spectrogram.tobytes()] for spectrogram in spectrograms}


def test_int8_is_calibrated_with_training_actors_only_and_unchanged_sound(paired_cache: Cache) -> None:
    batches = list(calibration_batches(paired_cache.folder, 1000, seed=0))
    split = split_clips(paired_cache, "subject")
    heard = actors_heard(paired_cache, np.concatenate([batch[LOG_MEL.name] for batch in batches]))
    assert heard == set(paired_cache.actors[split.training].tolist())
    assert sum(len(batch[LOG_MEL.name]) for batch in batches) == len(split.training)


def test_int8_is_measured_with_validation_actors_only_and_true_labels(paired_cache: Cache) -> None:
    batches = list(heldout_batches(paired_cache.folder))
    split = split_clips(paired_cache, "subject")
    heard = actors_heard(paired_cache, np.concatenate([batch[LOG_MEL.name] for batch, _ in batches]))
    labels = np.concatenate([labels for _, labels in batches])
    assert heard == set(paired_cache.actors[split.validation].tolist())
    assert np.array_equal(np.bincount(labels), np.bincount(paired_cache.labels[split.validation]))
    assert len(np.unique(labels)) == len(LABELS)


def test_batches_have_the_contracts_names_types_and_shapes(paired_cache: Cache) -> None:
    for batch in [
        *calibration_batches(paired_cache.folder, 20, seed=0),
        *(batch for batch, _ in heldout_batches(paired_cache.folder, 20)),
    ]:
        assert list(batch) == [spec.name for spec in INPUTS]
        for spec in INPUTS:
            assert batch[spec.name].shape[1:] == spec.shape
            assert batch[spec.name].dtype == spec.dtype


def test_the_same_seed_chooses_the_same_clips_and_faces(paired_cache: Cache) -> None:
    first, second, other = (list(calibration_batches(paired_cache.folder, 5, seed=seed)) for seed in (3, 3, 4))
    for name in first[0]:
        assert np.array_equal(first[0][name], second[0][name])
    assert not np.array_equal(first[0][LOG_MEL.name], other[0][LOG_MEL.name])


def test_data_that_was_not_prepared_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="run `python -m training"):
        list(calibration_batches(tmp_path, 4, seed=0))
