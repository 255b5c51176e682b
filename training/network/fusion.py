"""Four fusions of two branches.

Each takes features of both branches; a missing modality has already been replaced by a learned embedding.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

import torch
from torch import Tensor, nn

from avemotion.preprocessing.contract import LABELS, MEL_BINS
from training.network.audio import AUDIO_FEATURES
from training.network.resnet import VIDEO_FEATURES

FusionName = Literal["late", "concat", "gated", "xattn"]
HeadName = Literal["concat", "gated"]
TokensName = Literal["branch", "mel"]
FUSIONS: Final[tuple[FusionName, ...]] = get_args(FusionName)
HEADS: Final[tuple[HeadName, ...]] = get_args(HeadName)
TOKENS: Final[tuple[TokensName, ...]] = get_args(TokensName)

WIDTH: Final = 128
"""Features of a token, and of each modality in the gated heads."""

_ATTENTION_HEADS: Final = 4
_HIDDEN: Final = 256


@dataclass(frozen=True)
class BranchFeatures:
    """Features of a batch of clips.

    Attributes:
        frames: [B, 8, 512] video features per frame.
        video: [B, 512] their mean.
        audio: [B, 128] audio features.
        audio_map: [B, time, channels] the audio branch's last feature map, averaged over mel bins.
        log_mel: [B, 64, 188] the spectrogram.
        video_logits: [B, 8] of the video branch's own classifier.
        audio_logits: [B, 8] of the audio branch's own classifier.
        audio_present: bool [B].
    """

    frames: Tensor
    video: Tensor
    audio: Tensor
    audio_map: Tensor
    log_mel: Tensor
    video_logits: Tensor
    audio_logits: Tensor
    audio_present: Tensor


class LateFusion(nn.Module):
    """A sum of the branches' logits with learned weights per class: voices tell neutral from calm, faces do not."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.Parameter(torch.full((2, len(LABELS)), 0.5))
        self.bias = nn.Parameter(torch.zeros(len(LABELS)))

    def forward(self, features: BranchFeatures) -> tuple[Tensor, Tensor | None]:
        """Return logits [B, 8] and no frame attention."""
        # An elementwise product keeps the weights readable in an exported graph.
        both = torch.stack((features.video_logits, features.audio_logits), dim=1)
        return (self.weights * both).sum(dim=1) + self.bias, None


class ConcatFusion(nn.Module):
    """Two layers over the concatenated features."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.head = _mlp(VIDEO_FEATURES + AUDIO_FEATURES, dropout)

    def forward(self, features: BranchFeatures) -> tuple[Tensor, Tensor | None]:
        """Return logits [B, 8] and no frame attention."""
        logits: Tensor = self.head(torch.cat((features.video, features.audio), dim=1))
        return logits, None


class GatedHead(nn.Module):
    """g · v + (1 − g) · a with a learned gate, then one layer."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.gate = nn.Linear(2 * WIDTH, WIDTH)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(WIDTH, len(LABELS))

    def forward(self, video: Tensor, audio: Tensor) -> Tensor:
        """Map two [B, 128] to logits [B, 8]."""
        gate = torch.sigmoid(self.gate(torch.cat((video, audio), dim=1)))
        logits: Tensor = self.classifier(self.dropout(gate * video + (1 - gate) * audio))
        return logits


class GatedFusion(nn.Module):
    """A gate per feature weighs the two modalities."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.video = nn.Linear(VIDEO_FEATURES, WIDTH)
        self.audio = nn.Linear(AUDIO_FEATURES, WIDTH)
        self.head = GatedHead(dropout)

    def forward(self, features: BranchFeatures) -> tuple[Tensor, Tensor | None]:
        """Return logits [B, 8] and no frame attention."""
        return self.head(self.video(features.video), self.audio(features.audio)), None


class CrossAttentionFusion(nn.Module):
    """Frames attend to sound and sound to frames; a head joins both after pooling and corrects the sum of logits.

    Before training the correction is zero, so that the fusion starts where `late` does.
    """

    def __init__(self, head: HeadName, tokens: TokensName, audio_channels: int, dropout: float) -> None:
        super().__init__()
        self.sum = LateFusion()
        self.video = nn.Linear(VIDEO_FEATURES, WIDTH)
        # The columns of the spectrogram need a layer of their own, those of the branch's feature map have eight.
        self.audio_convolution = nn.Conv1d(MEL_BINS, WIDTH, 3, padding=1) if tokens == "mel" else None
        self.audio = nn.Linear(WIDTH if tokens == "mel" else audio_channels, WIDTH)
        self.missing_audio = nn.Parameter(torch.zeros(WIDTH))
        self.video_attention = nn.MultiheadAttention(WIDTH, _ATTENTION_HEADS, batch_first=True)
        self.audio_attention = nn.MultiheadAttention(WIDTH, _ATTENTION_HEADS, batch_first=True)
        self.video_norm = nn.LayerNorm(WIDTH)
        self.audio_norm = nn.LayerNorm(WIDTH)
        self.gated_head = GatedHead(dropout) if head == "gated" else None
        self.concat_head = _mlp(2 * WIDTH, dropout) if head == "concat" else None
        last = self.concat_head[-1] if self.concat_head is not None else self.gated_head.classifier  # type: ignore[union-attr]
        for parameter in last.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: BranchFeatures) -> tuple[Tensor, Tensor | None]:
        """Return logits [B, 8] and frame attention [B, 8], which sums to 1."""
        video, audio = self.video(features.frames), self.audio(self._columns(features))
        audio = torch.where(features.audio_present[:, None, None], audio, self.missing_audio)
        video_context, _ = self.video_attention(video, audio, audio, need_weights=False)
        audio_context, weights = self.audio_attention(audio, video, video, need_weights=True)
        video = self.video_norm(video + video_context).mean(dim=1)
        audio = self.audio_norm(audio + audio_context).mean(dim=1)
        logits, _ = self.sum(features)
        if self.gated_head is not None:
            logits = logits + self.gated_head(video, audio)
        elif self.concat_head is not None:
            logits = logits + self.concat_head(torch.cat((video, audio), dim=1))
        return logits, weights.mean(dim=1)

    def _columns(self, features: BranchFeatures) -> Tensor:
        """What the audio tokens are made of, [B, time, channels]."""
        if self.audio_convolution is None:
            return features.audio_map
        return torch.relu(self.audio_convolution(features.log_mel)).transpose(1, 2)


def make_fusion(
    name: FusionName, head: HeadName, tokens: TokensName, *, audio_channels: int, dropout: float
) -> nn.Module:
    """Create a fusion by name.

    Args:
        name: The fusion.
        head: Head of `xattn`; ignored by the others.
        tokens: What `xattn` makes its audio tokens of; ignored by the others.
        audio_channels: Channels of the audio branch's last feature map.
        dropout: Dropout probability in the head.
    """
    match name:
        case "late":
            return LateFusion()
        case "concat":
            return ConcatFusion(dropout)
        case "gated":
            return GatedFusion(dropout)
        case "xattn":
            return CrossAttentionFusion(head, tokens, audio_channels, dropout)


def _mlp(inputs: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, _HIDDEN), nn.ReLU(inplace=True), nn.Dropout(dropout), nn.Linear(_HIDDEN, len(LABELS))
    )
