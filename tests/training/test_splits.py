"""No actor and no byte-identical file is in two parts of a split."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from training.data.cache import Cache, CacheError
from training.data.splits import FOLDS, SPLIT_MODES, Split, actor_folds, split_clips


def everything(split: Split) -> list[int]:
    return sorted(np.concatenate(list(split.parts().values())).tolist())


def parts_with(split: Split, clips: list[int]) -> int:
    return sum(bool(np.isin(clips, index).any()) for index in split.parts().values())


@pytest.mark.parametrize("mode", SPLIT_MODES)
def test_every_clip_is_in_exactly_one_part(paired_cache: Cache, mode: str) -> None:
    split = split_clips(paired_cache, mode)  # type: ignore[arg-type]
    assert everything(split) == list(range(len(paired_cache.records)))
    assert all(len(index) for index in split.parts().values())


@pytest.mark.parametrize("fold", range(FOLDS))
@pytest.mark.parametrize("mode", ["subject", "kfold"])
def test_no_actor_straddles_an_actor_disjoint_split(paired_cache: Cache, mode: str, fold: int) -> None:
    split = split_clips(paired_cache, mode, fold=fold)  # type: ignore[arg-type]
    for actor in np.unique(paired_cache.actors):
        assert parts_with(split, np.flatnonzero(paired_cache.actors == actor).tolist()) == 1


@pytest.mark.parametrize("mode", SPLIT_MODES)
@pytest.mark.parametrize("seed", range(5))
def test_no_byte_identical_file_straddles_a_split(paired_cache: Cache, mode: str, seed: int) -> None:
    records = list(paired_cache.records)
    twins = [(0, 30), (30, 61), (5, 90)]
    for first, second in twins:
        records[second] = replace(records[second], digest=records[first].digest)
    # 0, 30 and 61 belong together through 30, whose digest was changed to that of 0 before 61 took it.
    cache = replace(paired_cache, records=tuple(records))
    split = split_clips(cache, mode, seed=seed)  # type: ignore[arg-type]
    assert parts_with(split, [0, 30, 61]) == 1
    assert parts_with(split, [5, 90]) == 1


@pytest.mark.parametrize("seed", range(5))
def test_sound_and_picture_files_of_one_performance_stay_together_when_actors_are_mixed(
    paired_cache: Cache, seed: int
) -> None:
    records = list(paired_cache.records)
    records[50] = replace(records[50], take=records[7].take)
    split = split_clips(replace(paired_cache, records=tuple(records)), "stratified", seed=seed)
    assert parts_with(split, [7, 50]) == 1


def test_stratified_parts_have_the_same_share_of_every_label(paired_cache: Cache) -> None:
    split = split_clips(paired_cache, "stratified")
    for index in split.parts().values():
        counts = np.bincount(paired_cache.labels[index], minlength=8)
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize("seed", range(5))
def test_every_fold_has_as_many_men_as_women(paired_cache: Cache, seed: int) -> None:
    folds = actor_folds(paired_cache, seed)
    for fold in range(FOLDS):
        actors = np.unique(paired_cache.actors[folds == fold])
        assert (actors % 2 == 1).sum() == (actors % 2 == 0).sum() == 1


def test_every_fold_is_tested_once_by_kfold(paired_cache: Cache) -> None:
    tests = np.concatenate([split_clips(paired_cache, "kfold", fold=fold).test for fold in range(FOLDS)])
    assert sorted(tests.tolist()) == list(range(len(paired_cache.records)))


def test_training_on_the_test_part_leaves_validation_alone(paired_cache: Cache) -> None:
    measured = split_clips(paired_cache, "subject")
    served = split_clips(paired_cache, "subject", train_on_test=True)
    assert len(served.test) == 0
    assert np.array_equal(served.validation, measured.validation)
    assert set(served.training) == set(measured.training) | set(measured.test)


def test_an_unknown_fold_is_refused(paired_cache: Cache) -> None:
    with pytest.raises(ValueError, match="fold is 6; it must be from 0 to 5"):
        split_clips(paired_cache, "kfold", fold=6)


def test_too_few_actors_are_refused(paired_cache: Cache) -> None:
    few = replace(paired_cache, records=paired_cache.records[:16], rows=paired_cache.rows[:16])
    with pytest.raises(CacheError, match="clips of 2 actors; 6 folds need at least 6"):
        split_clips(few, "subject")
