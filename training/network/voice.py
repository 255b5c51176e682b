"""Tells a voice from other sounds: a small convolutional network of its own over the log-mel spectrogram.

The features of the audio branch do not suffice: they tell emotions of voices apart, and lose on the way what tells a
voice from music or birds. docs/decisions/evidence.md has the measurements.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor, nn
from torch.nn import functional

from avemotion.preprocessing.contract import MEL_BINS

_CHANNELS: Final = (16, 32, 32)
"""Channels of the convolutions, each of which is followed by a max-pool of two mel bins and two frames."""

_HIDDEN: Final = 48
"""Channels of the convolutions along time, which see all mel bins."""

_DROPOUT: Final = 0.2

_SMOOTHED: Final = 3
"""Steps of 128 ms over which evidence is averaged: a voice lasts longer than a click."""


class VoiceDetector(nn.Module):
    """Three convolutions over mel bins and time, two along time, and a score for each step; the largest one counts.

    58,145 parameters.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 1
        for channels in _CHANNELS:
            layers += [*_convolution(inputs, channels, (3, 3), (1, 1)), nn.MaxPool2d(2)]
            inputs = channels
        layers += _convolution(inputs, _HIDDEN, (MEL_BINS >> len(_CHANNELS), 3), (0, 1))
        layers += _convolution(_HIDDEN, _HIDDEN, (1, 3), (0, 1))
        self.convolutions = nn.Sequential(*layers)
        self.dropout = nn.Dropout(_DROPOUT)
        self.classifier = nn.Conv1d(_HIDDEN, 1, 1)

    def forward(self, log_mel: Tensor) -> Tensor:
        """Evidence of a voice anywhere in the window.

        Args:
            log_mel: float [B, 64, 188], as in the contract.

        Returns:
            Logits, float [B, 1].
        """
        steps = self.convolutions(log_mel.unsqueeze(1)).squeeze(2)
        scores = self.classifier(self.dropout(steps))
        return functional.avg_pool1d(scores, _SMOOTHED, stride=1).amax(dim=2)


def _convolution(inputs: int, outputs: int, size: tuple[int, int], padding: tuple[int, int]) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, size, padding=padding, bias=False)
    return [convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]
