"""Changes to log-mel spectrograms that leave an emotion what it is, for whole batches at a time."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from preprocessing.contract import MEL_BINS, MEL_FRAMES


@dataclass(frozen=True)
class SpectrogramChanges:
    """How much is changed at most.

    Heavier changes than these cost recall on voices never heard.

    Attributes:
        shift: Frames by which sound moves in time, either way.
        stretch: Share by which it is stretched or shortened.
        mel_shift: Mel bins by which it moves in pitch, either way.
        time_mask: Frames of the SpecAugment mask (Park et al. 2019, arXiv 1904.08779); 0 for none.
        mel_mask: Mel bins of the SpecAugment mask; 0 for none.
    """

    shift: float = 10.0
    stretch: float = 0.05
    mel_shift: float = 1.0
    time_mask: int = 0
    mel_mask: int = 0


def change_spectrograms(log_mel: Tensor, changes: SpectrogramChanges) -> Tensor:
    """Shift, stretch and mask each of a batch of spectrograms by random amounts of its own.

    Args:
        log_mel: float [B, 64, 188] in [-1, 1].
        changes: How much.

    Returns:
        The same shape; what moves in from outside is silence, -1.
    """
    count = len(log_mel)
    transform = torch.zeros(count, 2, 3)
    transform[:, 0, 0] = 1 + changes.stretch * _uniform(count)
    transform[:, 0, 2] = 2 * changes.shift / MEL_FRAMES * _uniform(count)
    transform[:, 1, 1] = 1
    transform[:, 1, 2] = 2 * changes.mel_shift / MEL_BINS * _uniform(count)
    grid = functional.affine_grid(transform, [count, 1, MEL_BINS, MEL_FRAMES], align_corners=False)
    # Samples outside count as 0, so that silence is moved to 0 meanwhile.
    moved = functional.grid_sample(log_mel[:, None] + 1, grid, align_corners=False)[:, 0] - 1
    masked = _mask(moved, changes.time_mask, axis=2)
    return _mask(masked, changes.mel_mask, axis=1)


def _mask(log_mel: Tensor, longest: int, axis: int) -> Tensor:
    """Silence a random stretch of each spectrogram."""
    if not longest:
        return log_mel
    count, size = len(log_mel), log_mel.shape[axis]
    length = torch.randint(0, longest + 1, (count, 1))
    begin = (torch.rand(count, 1) * (size - length)).long()
    place = torch.arange(size)
    hidden = (place >= begin) & (place < begin + length)
    return log_mel.masked_fill(hidden.unsqueeze(3 - axis), -1.0)


def _uniform(count: int) -> Tensor:
    return 2 * torch.rand(count) - 1
