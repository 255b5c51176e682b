"""Splits of a cache into training, validation and test clips.

On RAVDESS the same model scores far higher on a random split than on unseen actors, so that reported numbers come from
actor-disjoint folds. Files of one performance, and byte-identical files, stay together in every mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import numpy as np
import numpy.typing as npt
from sklearn.model_selection import StratifiedGroupKFold

from training.data.cache import Cache, CacheError

SplitMode = Literal["stratified", "subject", "kfold"]
"""`stratified` mixes actors; `subject` keeps them apart; `kfold` keeps them apart in each of several folds."""

SPLIT_MODES: Final[tuple[SplitMode, ...]] = get_args(SplitMode)

FOLDS: Final = 6
"""Folds of RAVDESS by actor, as in published results."""

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Indices into the usable clips of a cache.

    Attributes:
        training: Clips that weights are fitted to.
        validation: Clips that choose epochs, fusions and temperatures.
        test: Clips that are only measured.
    """

    training: IntArray
    validation: IntArray
    test: IntArray

    def parts(self) -> dict[str, IntArray]:
        """The three parts by name."""
        return {"training": self.training, "validation": self.validation, "test": self.test}


def split_clips(
    cache: Cache,
    mode: SplitMode,
    *,
    fold: int = 0,
    seed: int = 0,
    train_on_test: bool = False,
    train_on_validation: bool = False,
) -> Split:
    """Split the clips of a cache.

    Args:
        cache: The cache.
        mode: Kind of split; `subject` is the first fold of `kfold`.
        fold: Fold of the test part; the next one is the validation part. For `kfold` only.
        seed: Seed of the shuffle.
        train_on_test: Move the test part into the training part, for a network to be served.
        train_on_validation: Move the validation part into it, for a recipe without choices by validation.

    Raises:
        CacheError: The cache has fewer separable groups than folds.
        ValueError: The fold does not exist.
    """
    if not 0 <= fold < FOLDS:
        raise ValueError(f"fold is {fold}; it must be from 0 to {FOLDS - 1}")
    of_clip = _stratified_folds(cache, seed) if mode == "stratified" else actor_folds(cache, seed)
    test = fold if mode == "kfold" else 0
    validation = (test + 1) % FOLDS
    tested = (of_clip == test) & (not train_on_test)
    validated = (of_clip == validation) & (not train_on_validation)
    return Split(
        training=np.flatnonzero(~validated & ~tested),
        validation=np.flatnonzero(validated),
        test=np.flatnonzero(tested),
    )


def actor_folds(cache: Cache, seed: int = 0) -> IntArray:
    """The fold of each clip, int64 [N]: actors are disjoint, and men and women are distributed evenly.

    Actors that share a byte-identical file are in the same fold.

    Raises:
        CacheError: The cache has fewer actors than folds.
    """
    groups = _together([record.actor for record in cache.records], [record.digest for record in cache.records])
    actors = cache.actors
    names = np.random.default_rng(seed).permutation(np.unique(groups))
    if len(names) < FOLDS:
        raise CacheError(f"{cache.folder} has clips of {len(names)} actors; {FOLDS} folds need at least {FOLDS}.")
    men = [name for name in names if actors[groups == name][0] % 2 == 1]
    women = [name for name in names if actors[groups == name][0] % 2 == 0]
    # Women are distributed from the last fold on, so that no fold is short of both.
    fold_of = {name: place % FOLDS for place, name in enumerate(men)}
    fold_of |= {name: FOLDS - 1 - place % FOLDS for place, name in enumerate(women)}
    return np.array([fold_of[group] for group in groups], np.int64)


def _stratified_folds(cache: Cache, seed: int) -> IntArray:
    """The fold of each clip, int64 [N], with the same share of every label in each fold."""
    groups = _together([record.take for record in cache.records], [record.digest for record in cache.records])
    if len(np.unique(groups)) < FOLDS:
        raise CacheError(
            f"{cache.folder} has {len(np.unique(groups))} performances; {FOLDS} folds need at least {FOLDS}."
        )
    folds = np.empty(len(groups), np.int64)
    splitter = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed)
    for fold, (_, test) in enumerate(splitter.split(groups, cache.labels, groups)):
        folds[test] = fold
    return folds


def _together(*keys: list[str] | list[int]) -> IntArray:
    """The group of each clip, int64 [N]: the transitive closure of clips that are equal in any key."""
    groups = np.arange(len(keys[0]), dtype=np.int64)
    while True:
        before = groups
        for key in keys:
            _, value = np.unique(np.array(key), return_inverse=True)
            smallest = np.full(len(groups), len(groups))
            np.minimum.at(smallest, value, groups)
            groups = smallest[value]
        if np.array_equal(groups, before):
            return groups
