"""The audio branch: a small convolutional network over the log-mel spectrogram."""

from __future__ import annotations

import math
from typing import Final

import torch
from torch import Tensor, nn

from avemotion.preprocessing.contract import MEL_BINS, MEL_FRAMES

AUDIO_FEATURES: Final = 128
"""Features per clip."""

_CHANNELS: Final = (32, 64, 128, 128)
"""Channels of each pair of convolutions."""

_POOLED: Final = (4, 2)
"""Output size in mel bins and time; time is coarse, because the position of speech in the window carries no emotion."""


class AudioBranch(nn.Module):
    """Four pairs of convolutions, the first three followed by a max-pool, an average pool and a linear layer.

    713,504 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs, halved = 1, 2 ** (len(_CHANNELS) - 1)
        for channels in _CHANNELS:
            if layers:
                layers.append(nn.MaxPool2d(2))
            layers += [*_convolution(inputs, channels), *_convolution(channels, channels)]
            inputs = channels
        self.convolutions = nn.Sequential(*layers)
        self.pool = FixedAveragePool((MEL_BINS // halved, MEL_FRAMES // halved), _POOLED)
        self.linear = nn.Linear(inputs * math.prod(_POOLED), AUDIO_FEATURES)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Compute features of sound.

        Args:
            log_mel: float [B, 64, 188], as in the contract.

        Returns:
            float [B, 128], non-negative.
        """
        x = self.pool(self.convolutions(log_mel.unsqueeze(1)))
        return torch.relu(self.linear(x.flatten(1)))


class FixedAveragePool(nn.Module):
    """`AdaptiveAvgPool2d` of a known size as two matrix products.

    The adaptive layer is exported to ONNX wrongly, and silently, if a size is dynamic or not a multiple of the output
    size; averaging by constant matrices is always exact.
    """

    rows: Tensor
    columns: Tensor

    def __init__(self, inputs: tuple[int, int], outputs: tuple[int, int]) -> None:
        super().__init__()
        rows, columns = (_averaging_matrix(*sizes) for sizes in zip(inputs, outputs, strict=True))
        self.register_buffer("rows", rows, persistent=False)
        self.register_buffer("columns", columns.T.contiguous(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Map [B, C, *inputs] to [B, C, *outputs]."""
        return self.rows @ x @ self.columns


def _convolution(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _averaging_matrix(inputs: int, outputs: int) -> Tensor:
    """[outputs, inputs] means over the bins of `torch.nn.AdaptiveAvgPool1d`."""
    matrix = torch.zeros(outputs, inputs)
    for row in range(outputs):
        begin, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix
