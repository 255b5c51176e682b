"""The form of the network that is exported: exactly the contract's inputs and outputs."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.network.emotion import EmotionNetwork, NetworkOutput


@dataclass(frozen=True)
class Temperatures:
    """Divisors of the logits that make probabilities calibrated (Guo et al. 2017, arXiv 1706.04599).

    Attributes:
        fused: For the fusion's logits.
        video: For the video branch's own.
        audio: For the audio branch's own.
    """

    fused: float = 1.0
    video: float = 1.0
    audio: float = 1.0


class ServingNetwork(nn.Module):
    """Contract inputs to contract outputs, in the contract's order."""

    def __init__(self, network: EmotionNetwork, temperatures: Temperatures) -> None:
        super().__init__()
        self.network = network
        self.temperatures = temperatures

    def forward(
        self, frames: Tensor, log_mel: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Judge a batch of clips.

        Args:
            frames: uint8 [B, 8, 112, 112, 3] RGB.
            log_mel: float [B, 64, 188] in [-1, 1].
            present: bool [B, 2].

        Returns:
            Calibrated probabilities, logits, video probabilities, audio probabilities and frame attention,
            float [B, 8] each.
        """
        output: NetworkOutput = self.network(frames, log_mel, present)
        return (
            torch.softmax(output.logits / self.temperatures.fused, dim=1),
            output.logits,
            torch.softmax(output.video_logits / self.temperatures.video, dim=1),
            torch.softmax(output.audio_logits / self.temperatures.audio, dim=1),
            output.frame_attention,
        )
