"""The audio branch: a small convolutional network over the log-mel spectrogram."""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor, nn

from preprocessing.contract import MEL_BINS, MEL_FRAMES

AUDIO_FEATURES: Final = 128
"""Features per clip."""

_CHANNELS: Final = (16, 32, 64)
_POOLED: Final = 4


class AudioBranch(nn.Module):
    """Three convolutions, two max-pools, an adaptive average pool and a linear layer; 154,720 parameters."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _CHANNELS
        self.convolutions = nn.Sequential(
            *_convolution(1, first),
            nn.MaxPool2d(2),
            *_convolution(first, second),
            nn.MaxPool2d(2),
            *_convolution(second, third),
        )
        self.pool = FixedAveragePool(MEL_BINS // 4, MEL_FRAMES // 4, _POOLED)
        self.linear = nn.Linear(third * _POOLED**2, AUDIO_FEATURES)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Features of sound.

        Args:
            log_mel: float [B, 64, 188], as in the contract.

        Returns:
            float [B, 128], not negative.
        """
        x = self.pool(self.convolutions(log_mel.unsqueeze(1)))
        return torch.relu(self.linear(x.flatten(1)))


class FixedAveragePool(nn.Module):
    """`AdaptiveAvgPool2d` of a known size as two matrix products.

    The adaptive layer itself is exported to ONNX wrongly, without a word, where a size is dynamic or no multiple of
    the output's; averaging by constant matrices is exact everywhere.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, height: int, width: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("rows", _averaging_matrix(height, outputs), persistent=False)
        self.register_buffer("columns", _averaging_matrix(width, outputs).T.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, height, width] to [B, C, outputs, outputs]."""
        return self.rows @ x @ self.columns


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _averaging_matrix(inputs: int, outputs: int) -> Tensor:
    """[outputs, inputs] means over the bins of `torch.nn.AdaptiveAvgPool1d`."""
    matrix = torch.zeros(outputs, inputs)
    for row in range(outputs):
        begin, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix
