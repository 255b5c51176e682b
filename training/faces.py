"""The video branch as a classifier of single faces, and its training, which can be resumed after any epoch."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional

from avemotion.preprocessing.contract import FRAME_SIZE, LABELS
from training.averaging import AVERAGE_DECAY, move_average
from training.data.augmentation import mix_pairs
from training.data.fer2013 import LABEL_OF_CLASS, Faces
from training.network import EmotionNetwork, NetworkConfig
from training.precision import half_precision

CLASSES: Final = [LABELS.index(label) for label in LABEL_OF_CLASS.values()]
"""Labels of FER2013; the logits of other labels are left out of loss and accuracy."""

_BATCHES_CHANGED_AT_ONCE: Final = 8
"""Several batches are augmented at once: for small images, calls take longer than the work, above all on a GPU."""

_EVALUATED_AT_ONCE: Final = 512


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of the training.

    Attributes:
        batch_size: Faces per step.
        learning_rate: Peak learning rate of SGD in the first stage, reached after a quarter of its steps.
        later_rate: Peak learning rate of later stages, and of a network that was trained before.
        weight_decay: Weight decay of SGD.
        label_smoothing: Share of the target spread over all classes.
        mixup: Both parameters of the beta distribution of mixup; 0 for none.
        average: Decay of the running average of weights, per step.
    """

    batch_size: int = 128
    learning_rate: float = 0.1
    later_rate: float = 0.04
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    mixup: float = 0.2
    average: float = AVERAGE_DECAY


@dataclass(frozen=True)
class Stage:
    """Epochs at one image size, with a one-cycle schedule of the learning rate.

    Attributes:
        side: Height and width of the images, in pixels.
        epochs: Number of epochs.
    """

    side: int
    epochs: int


@dataclass(frozen=True)
class EpochResult:
    """Result of an epoch.

    Attributes:
        side: Height and width of its images, in pixels.
        epoch: Number of the epoch in its stage, from 1.
        loss: Mean loss of its steps.
        validation_accuracy: Accuracy of the averaged network, at this size.
    """

    side: int
    epoch: int
    loss: float
    validation_accuracy: float


class FaceModel(nn.Module):
    """The video branch and its classifier, over single images."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EmotionNetwork(NetworkConfig())

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.video.conv1.weight.device

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, 8] of float images [N, 3, side, side] in [0, 1]."""
        images = (images * 255 - self.network.mean[:, None, None]) / self.network.std[:, None, None]
        logits: Tensor = self.network.video_classifier(self.network.video(images.to(memory_format=torch.channels_last)))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Weights of the video branch and its classifier, by their names in `EmotionNetwork`."""
        return {name: value.cpu() for name, value in self.network.state_dict().items() if name.startswith("video")}


class FaceTraining:
    """A training that can be saved after any epoch and resumed with the same result."""

    def __init__(
        self,
        model: FaceModel,
        recipe: Recipe,
        stages: Sequence[Stage],
        *,
        seed: int = 0,
        trained_before: bool = False,
    ) -> None:
        """Prepare a training.

        Args:
            model: Trained in place.
            recipe: Hyperparameters.
            stages: Image sizes, in order.
            seed: Seed of all random draws, by stage and epoch.
            trained_before: Start with the lower learning rate of later stages.
        """
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.recipe = recipe
        self.stages = list(stages)
        self._seed = seed
        self._trained_before = trained_before
        self._stage = self._epoch = self._steps = 0
        self._descent: tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler] | None = None
        self._augment = augmentations()

    def epochs(self, training: Faces, validation: Faces) -> Iterator[EpochResult]:
        """Train the remaining epochs, one for each step of the iterator."""
        images, labels = (
            torch.from_numpy(values).to(self.model.device) for values in (training.images, training.labels)
        )
        targets = smoothed_targets(labels, self.recipe.label_smoothing)
        while self._stage < len(self.stages):
            stage = self.stages[self._stage]
            if self._descent is None:
                self._descent = self._descent_of(stage, len(labels))
            loss = self._train_epoch(stage, *self._descent, images, targets)
            result = EpochResult(stage.side, self._epoch + 1, loss, accuracy(self.average, validation, stage.side))
            self._epoch += 1
            if self._epoch == stage.epochs:
                self._stage, self._epoch, self._descent = self._stage + 1, 0, None
            yield result

    def save(self, path: Path) -> None:
        """Write the state that `resume` reads."""
        state: dict[str, Any] = {
            "stages": [(stage.side, stage.epochs) for stage in self.stages],
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "place": (self._stage, self._epoch, self._steps),
            "descent": [part.state_dict() for part in self._descent] if self._descent else None,
        }
        partial = path.with_suffix(".partial")
        torch.save(state, partial)
        partial.replace(path)

    def resume(self, path: Path, training: Faces) -> None:
        """Resume from a file of `save`.

        Raises:
            ValueError: The file belongs to a training with other stages.
        """
        state = torch.load(path, weights_only=True, map_location=self.model.device)
        found, planned = state["stages"], [(stage.side, stage.epochs) for stage in self.stages]
        if found != planned:
            raise ValueError(
                f"{path} belongs to a training with stages {found}, not {planned}; choose another --output."
            )
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        self._stage, self._epoch, self._steps = state["place"]
        if state["descent"]:
            self._descent = self._descent_of(self.stages[self._stage], len(training.labels))
            optimizer, schedule = self._descent
            optimizer.load_state_dict(state["descent"][0])
            schedule.load_state_dict(state["descent"][1])

    def _descent_of(
        self, stage: Stage, count: int
    ) -> tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]:
        recipe = self.recipe
        rate = recipe.later_rate if self._stage or self._trained_before else recipe.learning_rate
        optimizer = torch.optim.SGD(
            self.model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=recipe.weight_decay
        )
        steps = count // recipe.batch_size * stage.epochs
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, rate, total_steps=steps, pct_start=0.25, cycle_momentum=False
        )

    def _train_epoch(
        self,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LRScheduler,
        images: Tensor,
        targets: Tensor,
    ) -> float:
        """Make one pass over all faces and return the mean loss."""
        # Seeded by stage and epoch, so that a resumed training draws the same numbers as an uninterrupted one.
        torch.manual_seed(self._seed + 1_000 * self._stage + self._epoch)
        self.model.train()
        size, device = self.recipe.batch_size, images.device
        steps = len(targets) // size
        order = torch.randperm(len(targets))[: steps * size].to(device)
        total = torch.zeros((), device=device)
        for several in torch.split(order, _BATCHES_CHANGED_AT_ONCE * size):
            changed = self._augment(unit(images[several]))
            for batch, wanted in zip(torch.split(changed, size), torch.split(targets[several], size), strict=True):
                loss = self._loss(tint(resize(batch, stage.side)), wanted)
                optimizer.zero_grad(set_to_none=True)
                torch.autograd.backward(loss)
                optimizer.step()
                schedule.step()
                self._steps += 1
                move_average(self.average, self.model, self._steps, self.recipe.average)
                total += loss.detach()
        return float(total) / steps

    def _loss(self, batch: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy over the classes of FER2013, of faces mixed in pairs."""
        mixed, targets = mix_pairs(batch, targets, self.recipe.mixup)
        with half_precision(batch.device):
            logits = self.model(mixed)
        return functional.cross_entropy(known(logits), targets)


def augmentations() -> augmentation.AugmentationSequential:
    """Augmentations that preserve the expression, for images of the archive's size."""
    return augmentation.AugmentationSequential(
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.RandomAffine(degrees=12.0, translate=(0.08, 0.08), scale=(0.85, 1.15), p=0.9),
        augmentation.RandomSharpness(sharpness=(0.0, 3.0), p=0.3),
        augmentation.RandomGaussianNoise(std=0.03, p=0.3),
        augmentation.RandomErasing(scale=(0.02, 0.2), p=0.5),
    )


def tint(images: Tensor) -> Tensor:
    """Random brightness, contrast and colour cast of [N, 3, H, W] in [0, 1], because served faces are in colour."""
    count, device = len(images), images.device
    gain = 1 + 0.25 * (2 * torch.rand(count, 3, 1, 1, device=device) - 1)
    contrast = 1 + 0.3 * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
    brightness = 0.15 * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
    mean = images.mean(dim=(1, 2, 3), keepdim=True)
    return (((images - mean) * contrast + mean) * gain + brightness).clamp(0, 1)


def resize(images: Tensor, side: int) -> Tensor:
    """Float [N, 1, H, W] to [N, 3, side, side]."""
    if images.shape[-1] != side:
        images = functional.interpolate(images, (side, side), mode="bilinear", align_corners=False)
    return images.expand(-1, 3, -1, -1)


def unit(grey: Tensor) -> Tensor:
    """uint8 [N, H, W] to float [N, 1, H, W] in [0, 1]."""
    return grey[:, None].float() / 255


def known(logits: Tensor) -> Tensor:
    """Float32 logits [N, 7] of the classes of FER2013, selected from those of all labels [N, 8]."""
    return logits[:, CLASSES].float()


def smoothed_targets(labels: Tensor, smoothing: float) -> Tensor:
    """Target probabilities [N, 7] over the classes of FER2013 for labels [N], with label smoothing."""
    position = torch.full((len(LABELS),), -1, device=labels.device)
    position[CLASSES] = torch.arange(len(CLASSES), device=labels.device)
    return functional.one_hot(position[labels], len(CLASSES)) * (1 - smoothing) + smoothing / len(CLASSES)


@torch.inference_mode()
def accuracy(model: FaceModel, faces: Faces, side: int = FRAME_SIZE) -> float:
    """Accuracy over the seven classes of FER2013."""
    model.eval()
    right = 0
    for begin in range(0, len(faces.labels), _EVALUATED_AT_ONCE):
        some = slice(begin, begin + _EVALUATED_AT_ONCE)
        images = resize(unit(torch.from_numpy(faces.images[some]).to(model.device)), side)
        with half_precision(model.device):
            logits = model(images)
        predicted = torch.tensor(CLASSES)[known(logits).argmax(dim=1).cpu()]
        right += int((predicted == torch.from_numpy(faces.labels[some])).sum())
    return right / len(faces.labels)
