"""The form of the network that is exported, with the contract's inputs and outputs.

If a modality is missing or lacks evidence, the other branch answers alone, with its own temperature: it is right more
often than a fusion with a learned embedding for the missing modality. The graph itself applies the evidence, so that
clients that call the model server directly are protected, too.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avemotion.preprocessing.contract import LABELS, LOWEST_EVIDENCE
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
    ) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
        """Predict a batch of clips.

        Args:
            frames: uint8 [B, 8, 112, 112, 3] RGB.
            log_mel: float [B, 64, 188] in [-1, 1].
            present: bool [B, 2].

        Returns:
            Calibrated probabilities, logits, video probabilities, audio probabilities and frame attention,
            float [B, 8] each; evidence, float [B, 2].
        """
        video_features, (audio_features, audio_map) = (
            self.network.encode_video(frames),
            self.network.encode_audio(log_mel),
        )
        evidence = self.network.encode_evidence(video_features, log_mel).sigmoid() * present
        found = evidence >= LOWEST_EVIDENCE
        output: NetworkOutput = self.network.fuse(video_features, audio_features, audio_map, log_mel, found)
        fused, video, audio = (
            torch.softmax(logits / temperature, dim=1)
            for logits, temperature in (
                (output.logits, self.temperatures.fused),
                (output.video_logits, self.temperatures.video),
                (output.audio_logits, self.temperatures.audio),
            )
        )
        return (
            choose_prediction(fused, video, audio, found, neither=1 / len(LABELS)),
            choose_prediction(output.logits, output.video_logits, output.audio_logits, found),
            video,
            audio,
            output.frame_attention,
            evidence,
        )


def choose_prediction(fused: Tensor, video: Tensor, audio: Tensor, found: Tensor, *, neither: float = 0.0) -> Tensor:
    """The fusion's prediction, or that of a branch whose modality alone was found.

    Args:
        fused: float [B, 8], logits or probabilities of the fusion.
        video: float [B, 8] of the video branch.
        audio: float [B, 8] of the audio branch.
        found: bool [B, 2].
        neither: The prediction for each class if nothing was found.
    """
    seen, heard = found[:, :1], found[:, 1:]
    alone = torch.where(seen, video, torch.where(heard, audio, neither))
    return torch.where(seen & heard, fused, alone)
