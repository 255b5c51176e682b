"""The whole network, from contract tensors to logits of the fusion and of each branch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch
from torch import Tensor, nn

from avemotion.preprocessing.contract import FRAME_COUNT, IMAGENET_MEAN, IMAGENET_STD, LABELS
from training.network.audio import AUDIO_FEATURES, AudioBranch, AudioBranchName
from training.network.fusion import BranchFeatures, FusionName, HeadName, TokensName, make_fusion
from training.network.resnet import VIDEO_FEATURES, ResNet18
from training.network.voice import VoiceDetector

_EVIDENCE_WIDTH: Final = 32
"""Hidden features of the evidence of a face."""

_UNTRAINED_EVIDENCE: Final = 10.0
"""Logit of evidence that has not been trained."""


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of a network.

    Attributes:
        fusion: Fusion of the branches.
        xattn_head: Head of the `xattn` fusion; ignored by the others.
        dropout: Dropout probability in the fusion's head.
        audio_branch: Size of the audio branch.
        xattn_tokens: Audio tokens of the `xattn` fusion: the audio branch's feature map over time, or columns of the
            spectrogram; ignored by the others.
    """

    fusion: FusionName = "xattn"
    xattn_head: HeadName = "concat"
    dropout: float = 0.3
    audio_branch: AudioBranchName = "deep"
    xattn_tokens: TokensName = "branch"


@dataclass(frozen=True)
class NetworkOutput:
    """Output of the network for a batch of clips.

    Attributes:
        logits: [B, 8] of the fusion.
        video_logits: [B, 8] of the video branch's own classifier.
        audio_logits: [B, 8] of the audio branch's own classifier.
        frame_attention: [B, 8], summing to 1; uniform for fusions without attention.
    """

    logits: Tensor
    video_logits: Tensor
    audio_logits: Tensor
    frame_attention: Tensor


class FaceHead(nn.Module):
    """Tells from the video branch's features whether they are those of a face."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden = nn.Linear(VIDEO_FEATURES, _EVIDENCE_WIDTH)
        self.classifier = nn.Linear(_EVIDENCE_WIDTH, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Map features [B, 512], the mean over frames, to logits [B, 1]."""
        logits: Tensor = self.classifier(torch.relu(self.hidden(features)))
        return logits


class EmotionNetwork(nn.Module):
    """Video branch, audio branch, a classifier and the evidence for each, and a fusion.

    A missing modality is replaced by a learned embedding before the fusion; its tensor is ignored. Until
    `training.evidence` trains them, face head and voice detector accept everything.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        self.video = ResNet18()
        self.audio = AudioBranch(config.audio_branch)
        self.video_classifier = nn.Linear(VIDEO_FEATURES, len(LABELS))
        self.audio_classifier = nn.Linear(AUDIO_FEATURES, len(LABELS))
        self.face_evidence = FaceHead()
        self.voice_evidence = VoiceDetector()
        _accept_everything(self.face_evidence.classifier)
        _accept_everything(self.voice_evidence.classifier)
        self.missing_video = nn.Parameter(torch.zeros(VIDEO_FEATURES))
        self.missing_audio = nn.Parameter(torch.zeros(AUDIO_FEATURES))
        self.fusion = make_fusion(
            config.fusion,
            config.xattn_head,
            config.xattn_tokens,
            audio_channels=self.audio.map_shape[1],
            dropout=config.dropout,
        )
        self.register_buffer("mean", 255 * torch.tensor(IMAGENET_MEAN), persistent=False)
        self.register_buffer("std", 255 * torch.tensor(IMAGENET_STD), persistent=False)

    def forward(self, frames: Tensor, log_mel: Tensor, present: Tensor) -> NetworkOutput:
        """Predict a batch of clips.

        Args:
            frames: uint8 or float [B, 8, 112, 112, 3] RGB in [0, 255].
            log_mel: float [B, 64, 188] in [-1, 1].
            present: bool [B, 2]: whether there is video, whether there is audio.
        """
        if self.training:
            (video,) = _where_present(
                lambda some: (self.encode_video(some),), frames, present[:, 0], ((frames.shape[1], VIDEO_FEATURES),)
            )
            audio, audio_map = _where_present(
                self.encode_audio, log_mel, present[:, 1], ((AUDIO_FEATURES,), self.audio.map_shape)
            )
        else:
            video, (audio, audio_map) = self.encode_video(frames), self.encode_audio(log_mel)
        return self.fuse(video, audio, audio_map, log_mel, present)

    def encode_video(self, frames: Tensor) -> Tensor:
        """Features per frame, float [B, 8, 512]; `frames` are those of `forward`."""
        images = ((frames.float() - self.mean) / self.std).flatten(0, 1).permute(0, 3, 1, 2)
        features: Tensor = self.video(images)
        return features.reshape(-1, frames.shape[1], features.shape[1])

    def encode_audio(self, log_mel: Tensor) -> tuple[Tensor, Tensor]:
        """Features of sound, float [B, 128], and over time, float [B, time, channels]; see `AudioBranch`."""
        features, over_time = self.audio(log_mel)
        return features, over_time

    def encode_evidence(self, frames: Tensor, log_mel: Tensor) -> Tensor:
        """Evidence of a face and of a voice, as logits.

        Args:
            frames: float [B, 8, 512] of `encode_video`.
            log_mel: float [B, 64, 188].

        Returns:
            float [B, 2], in the order of `MODALITIES`.
        """
        return torch.cat((self.face_evidence(frames.mean(dim=1)), self.voice_evidence(log_mel)), dim=1)

    def fuse(self, frames: Tensor, audio: Tensor, audio_map: Tensor, log_mel: Tensor, present: Tensor) -> NetworkOutput:
        """Predict a batch of clips from branch features, which can be cached.

        Args:
            frames: float [B, 8, 512] of `encode_video`.
            audio: float [B, 128] of `encode_audio`.
            audio_map: float [B, time, channels] of `encode_audio`.
            log_mel: float [B, 64, 188].
            present: bool [B, 2].
        """
        frames = torch.where(present[:, :1, None], frames, self.missing_video)
        audio = torch.where(present[:, 1:], audio, self.missing_audio)
        video = frames.mean(dim=1)
        features = BranchFeatures(
            frames=frames,
            video=video,
            audio=audio,
            audio_map=audio_map,
            log_mel=log_mel,
            video_logits=self.video_classifier(video),
            audio_logits=self.audio_classifier(audio),
            audio_present=present[:, 1],
        )
        logits, attention = self.fusion(features)
        if attention is None:
            attention = torch.full_like(frames[:, :, 0], 1 / FRAME_COUNT)
        return NetworkOutput(logits, features.video_logits, features.audio_logits, attention)


def _accept_everything(classifier: nn.Linear | nn.Conv1d) -> None:
    for name, parameter in classifier.named_parameters():
        nn.init.constant_(parameter, _UNTRAINED_EVIDENCE if name == "bias" else 0.0)


def _where_present(
    encode: Callable[[Tensor], tuple[Tensor, ...]],
    inputs: Tensor,
    present: Tensor,
    shapes: tuple[tuple[int, ...], ...],
) -> list[Tensor]:
    """Features of the present inputs; zeros for the others, whose content must not affect batch statistics."""
    encoded = [torch.zeros(len(inputs), *shape, device=inputs.device) for shape in shapes]
    if present.any():
        for place, found in enumerate(encode(inputs[present])):
            encoded[place] = encoded[place].to(found.dtype)
            encoded[place][present] = found
    return encoded
