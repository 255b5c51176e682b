"""Augmentation of batches during training, on the device of the batch."""

from __future__ import annotations

from typing import Final

import torch
from kornia import augmentation
from torch import Tensor

from avemotion.preprocessing.contract import FRAMES, LOG_MEL, PRESENT
from training.data.spectrograms import SpectrogramChanges, change_spectrograms

MODALITY_DROPOUT: Final = 0.15
"""Share of samples that lose their video; the same share of others loses its audio."""

_MASKED: Final = SpectrogramChanges(time_mask=20, mel_mask=6)


class Augmentation:
    """Augmentations that preserve the emotion: of frames by Kornia, and of sound.

    All frames of a clip are changed alike. Frames are tinted because training faces are grey and served faces are in
    colour.
    """

    def __init__(self, *, masks: bool = True) -> None:
        """Choose augmentations.

        Args:
            masks: Mask a stretch of time and some mel bins of each spectrogram (SpecAugment).
        """
        self._sound = _MASKED if masks else SpectrogramChanges()
        self._video = augmentation.VideoSequential(
            augmentation.RandomHorizontalFlip(p=0.5),
            augmentation.RandomAffine(degrees=10.0, translate=(0.06, 0.06), scale=(0.9, 1.15), p=0.9),
            augmentation.ColorJiggle(brightness=0.2, contrast=0.25, saturation=0.2, hue=0.03, p=0.8),
            augmentation.RandomGaussianBlur(kernel_size=(5, 5), sigma=(0.3, 1.5), p=0.3),
            augmentation.RandomErasing(scale=(0.02, 0.12), p=0.2),
            data_format="BTCHW",
            same_on_frame=True,
        )

    def __call__(self, batch: dict[str, Tensor]) -> dict[str, Tensor]:
        """Augment frames and sound of a batch; frames become float [B, 8, 112, 112, 3] in [0, 255]."""
        return batch | {
            FRAMES.name: self._frames(batch[FRAMES.name]),
            LOG_MEL.name: change_spectrograms(batch[LOG_MEL.name], self._sound),
        }

    def _frames(self, frames: Tensor) -> Tensor:
        """Augment frames [B, 8, H, W, 3] in [0, 255], all of a clip alike; float, same shape and range."""
        video = self._video(frames.movedim(-1, 2).float() / 255)
        gain = 1 + 0.2 * (2 * torch.rand(len(frames), 1, 3, 1, 1, device=frames.device) - 1)
        tinted: Tensor = 255 * (video * gain).clamp(0, 1)
        return tinted.movedim(2, -1)


def mix(
    batch: dict[str, Tensor], names: tuple[str, ...], targets: Tensor, strength: float
) -> tuple[dict[str, Tensor], Tensor]:
    """Mix each sample with another that has the same modalities (mixup, Zhang et al. 2017, arXiv 1710.09412).

    Args:
        batch: Tensors by name, with `present`.
        names: Names of the floating-point tensors to mix.
        targets: float [B, 8].
        strength: Both parameters of the beta distribution of the share; 0 for no mixing.

    Returns:
        The batch and the targets, mixed in the same shares.
    """
    if not strength:
        return batch, targets
    count = len(targets)
    partner = torch.randperm(count, device=targets.device)
    share = torch.distributions.Beta(strength, strength).sample((count,)).to(targets.device)
    alike = (batch[PRESENT.name] == batch[PRESENT.name][partner]).all(dim=1)
    share = torch.where(alike, share, torch.ones_like(share))

    def mixed(values: Tensor) -> Tensor:
        weight = share.view(-1, *[1] * (values.dim() - 1))
        return weight * values + (1 - weight) * values[partner]

    return batch | {name: mixed(batch[name]) for name in names}, mixed(targets)


def mix_pairs(inputs: Tensor, targets: Tensor, strength: float) -> tuple[Tensor, Tensor]:
    """Mix each sample of one modality with another, all in the same share (mixup, as in `mix`).

    Args:
        inputs: float [B, ...].
        targets: float [B, classes].
        strength: Both parameters of the beta distribution of the share; 0 for no mixing.

    Returns:
        Mixed inputs and targets.
    """
    if not strength:
        return inputs, targets
    share = float(torch.distributions.Beta(strength, strength).sample())
    partner = torch.randperm(len(targets), device=targets.device)
    mixed = share * inputs + (1 - share) * inputs[partner]
    return mixed, share * targets + (1 - share) * targets[partner]


def drop_modalities(present: Tensor, share: float = MODALITY_DROPOUT) -> Tensor:
    """Drop the video of some samples and the audio of others; only samples that have both lose one.

    Args:
        present: bool [B, 2].
        share: Probability for each modality.
    """
    draw = torch.rand(len(present), device=present.device)
    lost = torch.stack((draw < share, draw > 1 - share), dim=1)
    both = present.all(dim=1, keepdim=True)
    return present & ~(lost & both)
