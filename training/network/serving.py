"""The form of the network that is exported, with the contract's inputs and outputs.

If a modality is missing, the other branch answers alone, with its own temperature: it is right more often than a fusion
with a learned embedding for the missing modality.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from training.network.emotion import EmotionNetwork, NetworkOutput


@dataclass(frozen=True)
class Temperatures:
    """Divisors of the logits that make probabilities calibrated (Guo et al. 2017, arXiv 1706.04599).

    Attributes:
        fused: Divisor of the fusion's logits.
        video: Divisor of the video branch's logits.
        audio: Divisor of the audio branch's logits.
    """

    fused: float = 1.0
    video: float = 1.0
    audio: float = 1.0


class ServingNetwork(nn.Module):
    """Maps contract inputs to contract outputs, in the contract's order."""

    def __init__(self, network: EmotionNetwork, temperatures: Temperatures) -> None:
        super().__init__()
        self.network = network
        self.temperatures = temperatures

    def forward(
        self, frames: Tensor, log_mel: Tensor, present: Tensor
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Predict a batch of clips.

        Args:
            frames: uint8 [B, 8, 112, 112, 3] RGB.
            log_mel: float [B, 64, 188] in [-1, 1].
            present: bool [B, 2].

        Returns:
            Calibrated probabilities, logits, video probabilities, audio probabilities and frame attention,
            float [B, 8] each.
        """
        output: NetworkOutput = self.network(frames, log_mel, present)
        fused, video, audio = (
            torch.softmax(logits / temperature, dim=1)
            for logits, temperature in (
                (output.logits, self.temperatures.fused),
                (output.video_logits, self.temperatures.video),
                (output.audio_logits, self.temperatures.audio),
            )
        )
        return (
            choose_prediction(fused, video, audio, present),
            choose_prediction(output.logits, output.video_logits, output.audio_logits, present),
            video,
            audio,
            output.frame_attention,
        )


def choose_prediction(fused: Tensor, video: Tensor, audio: Tensor, present: Tensor) -> Tensor:
    """The fusion's prediction, or that of a branch whose modality alone is present.

    Args:
        fused: float [B, 8], logits or probabilities of the fusion.
        video: float [B, 8] of the video branch.
        audio: float [B, 8] of the audio branch.
        present: bool [B, 2].
    """
    seen, heard = present[:, :1], present[:, 1:]
    return torch.where(seen == heard, fused, torch.where(seen, video, audio))
