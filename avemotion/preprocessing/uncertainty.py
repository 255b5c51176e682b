"""The rule by which an answer counts as uncertain.

Probabilities are calibrated: a top probability below one half means that the label is more likely wrong than right. If
the second probability is close to the first, chance decides which of the two comes first.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

LOWEST_PROBABILITY: Final = 0.5
"""An answer whose top probability is below this is uncertain."""

SMALLEST_LEAD: Final = 0.1
"""An answer whose top probability leads the second by less than this is uncertain."""

RULE: Final = (
    f"Whether the top probability is below {100 * LOWEST_PROBABILITY:g} %, or less than {100 * SMALLEST_LEAD:g} "
    "percentage points above the second: the answer is then a guess, and should be shown as one."
)
"""The rule for people."""


def is_uncertain(probabilities: npt.NDArray[np.floating]) -> bool:
    """Whether an answer is uncertain.

    Args:
        probabilities: [labels], summing to 1.
    """
    second, first = sorted(probabilities.tolist())[-2:]
    return bool(first < LOWEST_PROBABILITY or first - second < SMALLEST_LEAD)
