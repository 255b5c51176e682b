"""The form of the network that is exported: exactly the contract's inputs and outputs.

Where a modality is missing there is nothing to fuse, and the other branch answers for itself, with its own
temperature: it is right more often than a fusion that was told of the loss by a learned embedding.
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
        fused, video, audio = (
            torch.softmax(logits / temperature, dim=1)
            for logits, temperature in (
                (output.logits, self.temperatures.fused),
                (output.video_logits, self.temperatures.video),
                (output.audio_logits, self.temperatures.audio),
            )
        )
        return (
            choose_answer(fused, video, audio, present),
            choose_answer(output.logits, output.video_logits, output.audio_logits, present),
            video,
            audio,
            output.frame_attention,
        )


def choose_answer(fused: Tensor, video: Tensor, audio: Tensor, present: Tensor) -> Tensor:
    """The fusion's answer, and where only one modality is there its branch's own.

    Args:
        fused: float [B, 8] of the fusion, logits or probabilities.
        video: The same of the video branch.
        audio: The same of the audio branch.
        present: bool [B, 2].
    """
    seen, heard = present[:, :1], present[:, 1:]
    return torch.where(seen == heard, fused, torch.where(seen, video, audio))
