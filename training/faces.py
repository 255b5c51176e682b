"""The video branch as a classifier of single faces, and its training, which can be resumed after any epoch.

The classifier does not learn how frequent the classes are in the training data (`class_log_prior`): clips have other
frequencies, and a third of the faces of FER+ is neutral.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.frame import UInt8Array
from training.averaging import AVERAGE_DECAY, move_average
from training.data.augmentation import mix_pairs
from training.data.face_augmentation import augment, random_crop
from training.data.faces import FACE_LABELS, FaceImages
from training.metrics import unweighted_recall
from training.network import EmotionNetwork, NetworkConfig
from training.precision import half_precision

CLASSES: Final = [LABELS.index(label) for label in FACE_LABELS]
"""Labels of faces among the contract's; the logit of calm is left out of loss and accuracy."""

_EVALUATED_AT_ONCE: Final = 256


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
        dropout: Probability that a feature is dropped before the classifier.
        balance: How far rare classes are shown more often: 0 not at all, 1 as often as all others.
        average: Decay of the running average of weights, per step.
    """

    batch_size: int = 96
    learning_rate: float = 0.1
    later_rate: float = 0.02
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    mixup: float = 0.2
    dropout: float = 0.3
    balance: float = 0.5
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
        validation_recall: Unweighted recall of the averaged network, at this size.
    """

    side: int
    epoch: int
    loss: float
    validation_recall: float


class FaceModel(nn.Module):
    """The video branch and its classifier, over single images."""

    def __init__(self, dropout: float = Recipe.dropout) -> None:
        super().__init__()
        self.network = EmotionNetwork(NetworkConfig())
        self.dropout = dropout

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return self.network.video.conv1.weight.device

    def forward(self, images: Tensor) -> Tensor:
        """Logits [N, 7] of `FACE_LABELS` for images [N, side, side, 3] RGB in [0, 255]."""
        normalised = ((images.float() - self.network.mean) / self.network.std).permute(0, 3, 1, 2)
        features = self.network.video(normalised.contiguous(memory_format=torch.channels_last))
        features = functional.dropout(features, self.dropout, self.training)
        logits: Tensor = self.network.video_classifier(features)
        return logits[:, CLASSES]

    def weights(self) -> dict[str, Tensor]:
        """Weights of the video branch and its classifier, by their names in `EmotionNetwork`."""
        return {name: value.cpu() for name, value in self.network.state_dict().items() if name.startswith("video")}


class AugmentedFaces(Dataset[tuple[Tensor, Tensor]]):
    """Faces of one epoch, each changed at random; the same for the same seed, however many processes load them."""

    def __init__(self, faces: FaceImages, order: Sequence[int], side: int, seed: tuple[int, ...]) -> None:
        """Prepare an epoch.

        Args:
            faces: The faces.
            order: Index of the face at each place of the epoch.
            side: Height and width of the images, in pixels.
            seed: Seed of all changes.
        """
        self._faces, self._order, self._side, self._seed = faces, order, side, seed

    def __len__(self) -> int:
        return len(self._order)

    def __getitem__(self, place: int) -> tuple[Tensor, Tensor]:
        """Image uint8 [side, side, 3] and target float32 [7]."""
        random = np.random.default_rng((*self._seed, place))
        index = self._order[place]
        image = random_crop(self._faces.images[index], self._faces.squares[index], self._side, random)
        return torch.from_numpy(augment(image, random)), torch.from_numpy(self._faces.targets[index])


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
        workers: int = 0,
        compiled: bool = False,
    ) -> None:
        """Prepare a training.

        Args:
            model: Trained in place.
            recipe: Hyperparameters.
            stages: Image sizes, in order.
            seed: Seed of all random draws, by stage and epoch.
            trained_before: Start with the lower learning rate of later stages.
            workers: Processes that augment images; 0 for this one.
            compiled: Compile the network by `torch.compile`, which needs a C++ compiler.
        """
        self.model = model
        self.average = copy.deepcopy(model).requires_grad_(False)
        self.recipe = recipe
        self.stages = list(stages)
        self._seed = seed
        self._trained_before = trained_before
        self._workers = workers
        self._logits = torch.compile(model) if compiled else model
        self._stage = self._epoch = self._steps = 0
        self._descent: tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler] | None = None

    def epochs(self, training: FaceImages, validation: FaceImages) -> Iterator[EpochResult]:
        """Train the remaining epochs, one for each step of the iterator."""
        while self._stage < len(self.stages):
            stage = self.stages[self._stage]
            if self._descent is None:
                self._descent = self._descent_of(stage, len(training))
            loss = self._train_epoch(stage, *self._descent, training)
            logits = predict_faces(self.average, validation.cropped(stage.side))
            recall = unweighted_recall(spread(logits), validation.labels)
            result = EpochResult(stage.side, self._epoch + 1, loss, recall)
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

    def resume(self, path: Path, training: FaceImages) -> None:
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
            self._descent = self._descent_of(self.stages[self._stage], len(training))
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
        faces: FaceImages,
    ) -> float:
        """Train on as many faces as there are, rare classes more often, and return the mean loss."""
        # Seeded by stage and epoch, so that a resumed training draws the same numbers as an uninterrupted one.
        seed = (self._seed, self._stage, self._epoch)
        torch.manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
        self.model.train()
        size, device = self.recipe.batch_size, self.model.device
        steps = len(faces) // size
        chances = drawing_chances(faces.targets, self.recipe.balance)
        prior = class_log_prior(faces.targets, chances).to(device)
        order = torch.multinomial(torch.from_numpy(chances), steps * size, replacement=True).tolist()
        changed = AugmentedFaces(faces, order, stage.side, seed)
        total = torch.zeros((), device=device)
        for images, targets in DataLoader(changed, size, num_workers=self._workers, pin_memory=device.type == "cuda"):
            loss = self._loss(images.to(device).float(), targets.to(device), prior)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            self._steps += 1
            move_average(self.average, self.model, self._steps, self.recipe.average)
            total += loss.detach()
        return float(total) / steps

    def _loss(self, images: Tensor, targets: Tensor, prior: Tensor) -> Tensor:
        """Loss of faces mixed in pairs."""
        targets = targets * (1 - self.recipe.label_smoothing) + self.recipe.label_smoothing / len(CLASSES)
        images, targets = mix_pairs(images, targets, self.recipe.mixup)
        with half_precision(images.device):
            logits = self._logits(images)
        return adjusted_loss(logits.float(), targets, prior)


def adjusted_loss(logits: Tensor, targets: Tensor, log_prior: Tensor) -> Tensor:
    """Logit-adjusted cross-entropy (Menon et al. 2020, arXiv 2007.07314, section 5.2).

    The loss knows how often each class occurs, so that the logits need not.

    Args:
        logits: float [B, 7].
        targets: float [B, 7], shares of the classes.
        log_prior: float [7], logarithm of the classes' shares among all faces.
    """
    return functional.cross_entropy(logits + log_prior, targets)


def drawing_chances(targets: npt.NDArray[np.float32], balance: float) -> npt.NDArray[np.float64]:
    """How likely each face is drawn, relative to the others.

    Args:
        targets: float32 [N, 7], shares of the classes.
        balance: 0 for all faces alike; 1 for all classes alike.
    """
    shares = np.maximum(targets.astype(np.float64).mean(axis=0), 1e-6)
    return np.asarray(targets @ shares**-balance, np.float64)


def class_log_prior(targets: npt.NDArray[np.float32], chances: npt.NDArray[np.float64]) -> Tensor:
    """Logarithm [7] of the classes' shares among the faces that are drawn; classes without a face count as one."""
    shares = np.maximum(np.average(targets, axis=0, weights=chances), 1 / len(targets))
    return torch.from_numpy(np.log(shares / shares.sum())).float()


@torch.inference_mode()
def predict_faces(model: FaceModel, images: UInt8Array) -> npt.NDArray[np.float32]:
    """Logits float32 [N, 7] of `FACE_LABELS` for images uint8 [N, side, side, 3] RGB."""
    model.eval()
    parts = []
    for some in torch.split(torch.from_numpy(images), _EVALUATED_AT_ONCE):
        with half_precision(model.device):
            parts.append(model(some.to(model.device)).float().cpu().numpy())
    return np.concatenate(parts)


def spread(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Logits [N, 8] of the contract's labels; calm is never chosen."""
    spread = np.full((len(logits), len(LABELS)), -np.inf, np.float32)
    spread[:, CLASSES] = logits
    return spread
