"""Synthetic data that several tests of training read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.caches import synthetic_cache
from training.data.cache import Cache


@pytest.fixture(scope="session")
def paired_cache(tmp_path_factory: pytest.TempPathFactory) -> Cache:
    return synthetic_cache(tmp_path_factory.mktemp("paired"))


@pytest.fixture(scope="session")
def small_paired_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One take of every label by each of six actors: the smallest data that six folds can be made of."""
    return synthetic_cache(tmp_path_factory.mktemp("small"), actors=range(1, 7)).folder
