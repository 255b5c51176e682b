"""The running average of the weights during training, which is the network that is saved and served."""

from __future__ import annotations

from typing import Final

import torch
from torch import nn

AVERAGE_DECAY: Final = 0.999
"""Decay per step; the average covers about the last thousand steps."""


@torch.no_grad()
def move_average(average: nn.Module, model: nn.Module, step: int, decay: float = AVERAGE_DECAY) -> None:
    """Exponential moving average of weights and of batch statistics (Polyak & Juditsky 1992, doi 10.1137/0330046).

    Args:
        average: Changed in place; at first a copy of the model.
        model: The network after a step.
        step: Number of the step, from 1; early steps decay faster, because the first weights are random.
        decay: Decay per step in the long run; 0 copies the model.
    """
    share = 1 - min(decay, (1 + step) / (10 + step))
    slow, fast = (
        [value for value in network.state_dict().values() if value.dtype.is_floating_point]
        for network in (average, model)
    )
    torch._foreach_lerp_(slow, fast, share)
