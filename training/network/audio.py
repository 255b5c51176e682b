"""The audio branch: a small convolutional network over the log-mel spectrogram, in two sizes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from avemotion.preprocessing.contract import MEL_BINS, MEL_FRAMES

AudioBranchName = Literal["deep", "compact"]
AUDIO_BRANCHES: Final[tuple[AudioBranchName, ...]] = get_args(AudioBranchName)

AUDIO_FEATURES: Final = 128
"""Features per clip."""


@dataclass(frozen=True)
class _Layout:
    """Layers of a branch.

    Attributes:
        channels: Channels of each group of convolutions; groups are joined by max-pools.
        convolutions: Convolutions of a group.
        bias: Whether convolutions have a bias.
        pooled: Output size in mel bins and time of the last, average pool.
    """

    channels: tuple[int, ...]
    convolutions: int
    bias: bool
    pooled: tuple[int, int]


_LAYOUTS: Final[dict[AudioBranchName, _Layout]] = {
    # Time is pooled coarsely, because the position of speech in the window carries no emotion.
    "deep": _Layout((32, 64, 128, 128), 2, bias=False, pooled=(4, 2)),
    "compact": _Layout((16, 32, 64), 1, bias=True, pooled=(4, 4)),
}


class AudioBranch(nn.Module):
    """Groups of convolutions with max-pools between them, an average pool and a linear layer.

    713,504 parameters as `deep`, 154,720 as `compact`.

    Attributes:
        map_shape: Time steps and channels of the last feature map.
    """

    def __init__(self, name: AudioBranchName = "deep") -> None:
        super().__init__()
        layout = _LAYOUTS[name]
        layers: list[nn.Module] = []
        inputs, halved = 1, 2 ** (len(layout.channels) - 1)
        for channels in layout.channels:
            if layers:
                layers.append(nn.MaxPool2d(2))
            for _ in range(layout.convolutions):
                layers += _convolution(inputs, channels, bias=layout.bias)
                inputs = channels
        self.map_shape = (MEL_FRAMES // halved, inputs)
        self.convolutions = nn.Sequential(*layers)
        self.pool = FixedAveragePool((MEL_BINS // halved, MEL_FRAMES // halved), layout.pooled)
        self.linear = nn.Linear(inputs * math.prod(layout.pooled), AUDIO_FEATURES)

    def forward(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Compute features of sound.

        Args:
            log_mel: float [B, 64, 188], as in the contract.

        Returns:
            Features, float [B, 128], non-negative; and the last feature map's mean over mel bins, float
            [B, time, channels], of which cross-attention makes its tokens.
        """
        x = self.convolutions(log_mel.unsqueeze(1))
        features = torch.relu(self.linear(self.pool(x).flatten(1)))
        return features, x.mean(dim=2).transpose(1, 2)


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


def _convolution(inputs: int, outputs: int, *, bias: bool) -> tuple[nn.Module, ...]:
    return nn.Conv2d(inputs, outputs, 3, padding=1, bias=bias), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


def _averaging_matrix(inputs: int, outputs: int) -> Tensor:
    """[outputs, inputs] means over the bins of `torch.nn.AdaptiveAvgPool1d`."""
    matrix = torch.zeros(outputs, inputs)
    for row in range(outputs):
        begin, end = row * inputs // outputs, -(-(row + 1) * inputs // outputs)
        matrix[row, begin:end] = 1 / (end - begin)
    return matrix
