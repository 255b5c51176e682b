"""Temperature scaling: one divisor of the logits per classifier calibrates its probabilities.

Source: Guo et al. 2017, arXiv 1706.04599, section 4.2. The temperature is fitted on validation clips and applied inside
the exported graph.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

_COLDEST, _HOTTEST = 0.05, 20.0


def fit_temperature(logits: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]) -> float:
    """Fit the divisor of logits [N, 8] that maximises the likelihood of labels [N].

    The result is clamped to 0.05 and 20, as no finite divisor is best if, for example, all predictions are right.
    """
    values, targets = torch.from_numpy(logits).double(), torch.from_numpy(labels)

    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(values / np.exp(log_temperature), targets))

    # The loss is convex in the inverse temperature, so that it has one minimum in the logarithm, too.
    low, high = float(np.log(_COLDEST)), float(np.log(_HOTTEST))
    ratio = (5**0.5 - 1) / 2
    while high - low > 1e-4:
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        if loss(left) < loss(right):
            high = right
        else:
            low = left
    return float(np.exp((low + high) / 2))
