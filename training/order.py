"""The order in which samples are trained on, repeatable from any epoch."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from torch import distributed
from torch.utils.data import Sampler


class EpochOrder(Sampler[int]):
    """Every sample once, in an order that depends on seed and epoch alone, so that a resumed run repeats it.

    Numbers continue from epoch to epoch, which selects another face for each voice. Several devices share one order;
    samples that do not divide evenly among them are left for another epoch.
    """

    def __init__(self, count: int, seed: int) -> None:
        self._count = count
        self._seed = seed
        self._epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; called by Lightning when one begins."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = np.random.default_rng((self._seed, self._epoch)).permutation(self._count)
        rank, devices = _place()
        mine = order[rank : len(self) * devices : devices]
        return iter((mine + self._epoch * self._count).tolist())

    def __len__(self) -> int:
        return self._count // _place()[1]


def _place() -> tuple[int, int]:
    """Rank of this device, and the number of devices."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
