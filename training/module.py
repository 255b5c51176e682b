"""The training step: augmentation, losses of the fusion and of each branch, optimizer and schedule."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pytorch_lightning as lightning
import torch
from pytorch_lightning.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.nn import functional

from avemotion.preprocessing.contract import FRAMES, LABELS, LOG_MEL, PRESENT
from training.data.augmentation import Augmentation, drop_modalities, mix
from training.data.samples import LABEL
from training.features import AUDIO_FEATURES, AUDIO_MAP, FRAME_FEATURES, forward
from training.metrics import unweighted_recall
from training.network import EmotionNetwork, NetworkOutput, choose_prediction

Scheduler = Literal["cosine", "none"]

WATCHED = "validation_recall"
"""Unweighted recall on the validation part; it chooses the best epoch and stops early."""

_BRANCHES: Final = ("video.", "audio.", "video_classifier.", "audio_classifier.")
_FROZEN: Final = ("video.", "audio.", "audio_classifier.")
"""Modules that freezing the branches freezes. The face classifier still learns, as FER2013 has no calm faces."""


@dataclass(frozen=True)
class Optimization:
    """Hyperparameters of the optimisation.

    Attributes:
        learning_rate: Peak learning rate of AdamW.
        branch_lr_scale: Learning rate of the branches relative to it; 0 freezes them, except the face classifier.
        weight_decay: Decoupled weight decay of AdamW.
        scheduler: `cosine` anneals the rate to zero over all epochs after a warm-up; `none` keeps it.
        warm_up: Share of the steps over which the rate rises.
        label_smoothing: Share of the target spread over all classes.
        mixup: Both parameters of the beta distribution of mixup; 0 for none.
        branch_loss: Weight of the loss of each branch's own classifier.
    """

    learning_rate: float = 3e-4
    branch_lr_scale: float = 1.0
    weight_decay: float = 1e-4
    scheduler: Scheduler = "cosine"
    warm_up: float = 0.05
    label_smoothing: float = 0.1
    mixup: float = 0.2
    branch_loss: float = 0.3


class EmotionModule(lightning.LightningModule):
    """Trains an `EmotionNetwork` on contract inputs, or on features of its frozen branches."""

    def __init__(
        self, network: EmotionNetwork, optimization: Optimization, *, augment: bool = True, seed: int = 0
    ) -> None:
        """Wrap a network for training.

        Args:
            network: Trained in place.
            optimization: Hyperparameters.
            augment: Whether to augment training batches and drop modalities.
            seed: Base of the seed of each step, so that a resumed run repeats an uninterrupted one.
        """
        super().__init__()
        self.network = network
        self._optimization = optimization
        self._augmentation = Augmentation() if augment else None
        self._seed = seed
        self._predictions: list[tuple[Tensor, Tensor]] = []
        if not optimization.branch_lr_scale:
            for parameter in self._select(_FROZEN):
                parameter.requires_grad_(False)

    def on_train_epoch_start(self) -> None:
        """Put everything but frozen branches into training mode."""
        self.network.train()
        if not self._optimization.branch_lr_scale:
            for name, module in self.network.named_children():
                if f"{name}." in _FROZEN:
                    module.eval()

    def on_train_batch_start(self, *_batch: object) -> None:
        """Seed this step's random changes and dropout."""
        torch.manual_seed(self._seed + self.global_step * self.trainer.world_size + self.global_rank)

    def training_step(self, batch: dict[str, Tensor]) -> Tensor:
        """Loss of one batch."""
        targets = functional.one_hot(batch[LABEL], len(LABELS)).float()
        if self._augmentation is not None:
            mixed = (FRAME_FEATURES, AUDIO_FEATURES, AUDIO_MAP) if FRAME_FEATURES in batch else (FRAMES.name,)
            batch = batch if FRAME_FEATURES in batch else self._augmentation(batch)
            batch, targets = mix(batch, (*mixed, LOG_MEL.name), targets, self._optimization.mixup)
            batch = batch | {PRESENT.name: drop_modalities(batch[PRESENT.name])}
        loss = self._loss(forward(self.network, batch), targets, batch[PRESENT.name])
        self.log("training_loss", loss, on_step=False, on_epoch=True, batch_size=len(targets), sync_dist=True)
        return loss

    def validation_step(self, batch: dict[str, Tensor]) -> None:
        """Collect predictions: recall needs all of them."""
        output = forward(self.network, batch)
        logits = choose_prediction(output.logits, output.video_logits, output.audio_logits, batch[PRESENT.name])
        loss = functional.cross_entropy(logits, batch[LABEL])
        self.log("validation_loss", loss, batch_size=len(batch[LABEL]), prog_bar=True)
        self._predictions.append((logits, batch[LABEL]))

    def on_validation_epoch_end(self) -> None:
        """Log accuracy and unweighted recall; every device predicts the whole part, which is small."""
        logits = torch.cat([logits for logits, _ in self._predictions])
        labels = torch.cat([labels for _, labels in self._predictions])
        self._predictions.clear()
        found, expected = logits.float().cpu().numpy(), labels.cpu().numpy().astype(np.int64)
        self.log("validation_accuracy", float((found.argmax(axis=1) == expected).mean()))
        self.log(WATCHED, unweighted_recall(found, expected), prog_bar=True)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW, the branches at their own rate, with warm-up and cosine annealing by step."""
        settings = self._optimization
        slower = _BRANCHES if settings.branch_lr_scale else _FROZEN
        groups = [{"params": self._select(slower, others=True), "lr": settings.learning_rate}]
        if settings.branch_lr_scale:
            groups.append({"params": self._select(slower), "lr": settings.learning_rate * settings.branch_lr_scale})
        optimizer = torch.optim.AdamW(groups, weight_decay=settings.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_factor(step, steps, settings))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _loss(self, output: NetworkOutput, targets: Tensor, present: Tensor) -> Tensor:
        smoothing = self._optimization.label_smoothing
        loss = functional.cross_entropy(output.logits, targets, label_smoothing=smoothing)
        for column, logits in enumerate((output.video_logits, output.audio_logits)):
            # A branch learns only from samples that have its modality.
            each = functional.cross_entropy(logits, targets, label_smoothing=smoothing, reduction="none")
            there = present[:, column].float()
            loss = loss + self._optimization.branch_loss * (each * there).sum() / there.sum().clamp(min=1)
        return loss

    def _select(self, prefixes: tuple[str, ...], *, others: bool = False) -> list[torch.nn.Parameter]:
        """Parameters whose names begin with one of some prefixes, or all the others."""
        return [value for name, value in self.network.named_parameters() if name.startswith(prefixes) != others]


def rate_factor(step: int, steps: int, settings: Optimization) -> float:
    """Share of the highest learning rate at a step: linear warm-up, then half a cosine to zero.

    Source: Loshchilov & Hutter 2016, arXiv 1608.03983, equation 5, without restarts.
    """
    rise = max(1, round(steps * settings.warm_up))
    if step < rise:
        return (step + 1) / rise
    if settings.scheduler == "none":
        return 1.0
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))
