"""Contract inputs without augmentation for the export: calibration clips and held-out clips for INT8."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import INPUTS
from training.data.cache import open_cache
from training.data.pairing import TEST, TRAINING
from training.data.samples import LABEL, ClipSamples
from training.data.splits import split_clips

Arrays = dict[str, npt.NDArray[Any]]

_BATCH = 16


def calibration_batches(cache_dir: Path, count: int, seed: int) -> Iterator[Arrays]:
    """Read clips of training actors and training faces.

    Args:
        cache_dir: Folder written by `training.prepare`.
        count: Number of clips, limited by those in the cache.
        seed: Seed of the choice.

    Yields:
        Contract inputs by name, each with a batch dimension.

    Raises:
        CacheError: The folder is not a cache.
    """
    for batch, _ in _batches(cache_dir, "training", count, seed):
        yield batch


def heldout_batches(
    cache_dir: Path, count: int | None = None, seed: int = 0
) -> Iterator[tuple[Arrays, npt.NDArray[np.int64]]]:
    """Read clips of validation actors and test faces: a fusion may have been trained on validation faces.

    Args:
        cache_dir: Folder written by `training.prepare`.
        count: Limit of the number of clips; all by default.
        seed: Seed of the choice, and of faces.

    Yields:
        Contract inputs by name with a batch dimension, and labels int64 [B].

    Raises:
        CacheError: The folder is not a cache.
    """
    yield from _batches(cache_dir, "validation", count, seed)


def _batches(
    cache_dir: Path, part: str, count: int | None, seed: int
) -> Iterator[tuple[Arrays, npt.NDArray[np.int64]]]:
    cache = open_cache(cache_dir)
    index = split_clips(cache, "subject").parts()[part]
    chosen = np.random.default_rng(seed).permutation(index)[:count]
    samples = ClipSamples(cache, chosen, TRAINING if part == "training" else TEST, seed=seed)
    for begin in range(0, len(samples), _BATCH):
        clips = [samples.arrays(place) for place in range(begin, min(begin + _BATCH, len(samples)))]
        batch = {spec.name: np.stack([clip[spec.name] for clip in clips]) for spec in INPUTS}
        yield batch, np.array([clip[LABEL] for clip in clips], np.int64)
