"""Train the video branch alone on the faces of FER2013.

Facial expressions are a better start than ImageNet, whose features remember who a person is. The size of the
pictures grows in stages: an epoch at 112 pixels costs as much as four at 48, and a network trained at 48 alone
reads 112 badly, so that the last stages get a fresh warm-up and several epochs.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from kornia import augmentation
from torch import Tensor, nn
from torch.nn import functional

from preprocessing.contract import FRAME_SIZE, LABELS
from training.checkpoint import save_branch
from training.data.fer2013 import LABEL_OF_CLASS, Faces, read_parts
from training.exported import load_exported
from training.network import EmotionNetwork, NetworkConfig

_BATCH = 128
_LEARNING_RATE = 0.1
_WEIGHT_DECAY = 5e-4
_LABEL_SMOOTHING = 0.1
_MIXUP = 0.2
_LOWER_RATE_OF_LATER_STAGES = 0.4
_EXAMPLES = 512
"""Pictures that give the batch normalisations of an exported model their statistics back."""

CLASSES = [LABELS.index(label) for label in LABEL_OF_CLASS.values()]
"""Labels that FER2013 knows; the logits of others are left out of its loss and of its accuracy."""


@dataclass(frozen=True)
class Stage:
    """Epochs at one picture size.

    Attributes:
        side: Height and width of the pictures, in pixels.
        epochs: How many.
    """

    side: int
    epochs: int


class FaceModel(nn.Module):
    """The video branch and its classifier, over single pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.network = EmotionNetwork(NetworkConfig())

    def forward(self, pictures: Tensor) -> Tensor:
        """Logits [N, 8] of float pictures [N, 3, side, side] in [0, 1]."""
        pictures = (pictures * 255 - self.network.mean[:, None, None]) / self.network.std[:, None, None]
        logits: Tensor = self.network.video_classifier(
            self.network.video(pictures.to(memory_format=torch.channels_last))
        )
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Weights of the video branch and its classifier, by the names they have in `EmotionNetwork`."""
        return {name: value.cpu() for name, value in self.network.state_dict().items() if name.startswith("video")}


def augmentations() -> augmentation.AugmentationSequential:
    """Changes that leave an expression what it is, for pictures of the archive's own size."""
    return augmentation.AugmentationSequential(
        augmentation.RandomHorizontalFlip(p=0.5),
        augmentation.RandomAffine(degrees=12.0, translate=(0.08, 0.08), scale=(0.85, 1.15), p=0.9),
        augmentation.RandomSharpness(sharpness=(0.0, 3.0), p=0.3),
        augmentation.RandomGaussianNoise(std=0.03, p=0.3),
        augmentation.RandomErasing(scale=(0.02, 0.15), p=0.3),
    )


def tint(pictures: Tensor) -> Tensor:
    """Random brightness, contrast and colour cast of [N, 3, H, W] in [0, 1]: served faces are in colour."""
    count, device = len(pictures), pictures.device
    gain = 1 + 0.25 * (2 * torch.rand(count, 3, 1, 1, device=device) - 1)
    contrast = 1 + 0.3 * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
    brightness = 0.15 * (2 * torch.rand(count, 1, 1, 1, device=device) - 1)
    mean = pictures.mean(dim=(1, 2, 3), keepdim=True)
    return (((pictures - mean) * contrast + mean) * gain + brightness).clamp(0, 1)


def resize(pictures: Tensor, side: int) -> Tensor:
    """Float [N, 1, H, W] to [N, 3, side, side]."""
    if pictures.shape[-1] != side:
        pictures = functional.interpolate(pictures, (side, side), mode="bilinear", align_corners=False)
    return pictures.expand(-1, 3, -1, -1)


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_faces fer2013.zip --output runs/faces`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("archive", type=Path, help="fer2013.zip")
    parser.add_argument("--output", type=Path, default=Path("runs/faces"), help="folder of video.pt and faces.json")
    parser.add_argument("--stages", type=_stages, default="48x5,64x3,112x3", help="SIDExEPOCHS, comma-separated")
    parser.add_argument("--start_from", type=Path, help="an exported model (ONNX) whose video branch is trained on")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    training, validation, test = read_parts(options.archive)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = FaceModel().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start_from:
        continue_from(model, options.start_from, training)
    state_file = options.output / "state.pt"
    done = 0
    if state_file.exists():
        state = torch.load(state_file, weights_only=True, map_location=device)
        model.load_state_dict(state["model"])
        done = state["stages_done"]
    for number, stage in enumerate(options.stages):
        if number < done:
            continue
        rate = _LEARNING_RATE * (_LOWER_RATE_OF_LATER_STAGES if number or options.start_from else 1.0)
        for validation_accuracy in train_stage(model, stage, training, validation, rate):
            metrics = {"validation_accuracy": validation_accuracy, "side": stage.side}
            save_branch(options.output / "video.pt", model.weights(), metrics)
        torch.save({"model": model.state_dict(), "stages_done": number + 1}, state_file)
    report = {
        "stages": [f"{stage.side}x{stage.epochs}" for stage in options.stages],
        "validation_accuracy": accuracy(model, validation, FRAME_SIZE),
        "public_test_accuracy": accuracy(model, test, FRAME_SIZE),
    }
    (options.output / "faces.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


def continue_from(model: FaceModel, exported: Path, training: Faces) -> None:
    """Load the video branch and its classifier out of an exported model.

    Args:
        model: Changed in place.
        exported: The ONNX file.
        training: Faces, of which some set the statistics of the batch normalisations.

    Raises:
        ModelFileError: The file cannot be read, or holds another network.
    """
    chosen = torch.randperm(len(training.labels), generator=torch.Generator().manual_seed(0))[:_EXAMPLES]
    pictures = resize(_unit(torch.from_numpy(training.pictures)[chosen].to(_device_of(model))), FRAME_SIZE)
    network = model.network
    load_exported(network.video, exported, name="video", run=lambda: model(pictures))
    load_exported(network.video_classifier, exported, name="video_classifier", run=lambda: None)


def train_stage(model: FaceModel, stage: Stage, training: Faces, validation: Faces, rate: float) -> Iterator[float]:
    """One warm-up and one descent of the learning rate over a stage's epochs; yields validation accuracies."""
    device = _device_of(model)
    pictures, labels = torch.from_numpy(training.pictures).to(device), torch.from_numpy(training.labels).to(device)
    steps = len(labels) // _BATCH
    optimizer = torch.optim.SGD(model.parameters(), lr=rate, momentum=0.9, nesterov=True, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * stage.epochs, pct_start=0.25, cycle_momentum=False
    )
    augment = augmentations()
    for epoch in range(stage.epochs):
        model.train()
        started, total = time.monotonic(), torch.zeros((), device=device)
        for index in torch.randperm(len(labels))[: steps * _BATCH].view(steps, _BATCH).to(device):
            batch = tint(resize(augment(_unit(pictures[index])), stage.side))
            share = float(torch.distributions.Beta(_MIXUP, _MIXUP).sample())
            partner = torch.randperm(_BATCH, device=device)
            mixed = share * batch + (1 - share) * batch[partner]
            with torch.autocast(device.type, torch.bfloat16):
                logits = model(mixed)
            loss = share * _loss(logits, labels[index]) + (1 - share) * _loss(logits, labels[index][partner])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            total += loss.detach()
        validation_accuracy = accuracy(model, validation, stage.side)
        print(
            f"{stage.side} px, epoch {epoch + 1} of {stage.epochs}: loss {float(total) / steps:.3f}, "
            f"validation accuracy {validation_accuracy:.4f}, {time.monotonic() - started:.0f} s",
            flush=True,
        )
        yield validation_accuracy


@torch.inference_mode()
def accuracy(model: FaceModel, faces: Faces, side: int) -> float:
    """Share of faces whose class, of the seven, is right."""
    model.eval()
    device, right = _device_of(model), 0
    for begin in range(0, len(faces.labels), _BATCH):
        pictures = resize(_unit(torch.from_numpy(faces.pictures[begin : begin + _BATCH]).to(device)), side)
        with torch.autocast(device.type, torch.bfloat16):
            logits = model(pictures)
        predicted = torch.tensor(CLASSES)[logits[:, CLASSES].argmax(dim=1).cpu()]
        right += int((predicted == torch.from_numpy(faces.labels[begin : begin + _BATCH])).sum())
    return right / len(faces.labels)


def _device_of(model: FaceModel) -> torch.device:
    return model.network.video.conv1.weight.device


def _unit(grey: Tensor) -> Tensor:
    """uint8 [N, H, W] to float [N, 1, H, W] in [0, 1]."""
    return grey[:, None].float() / 255


def _loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy over the classes of FER2013."""
    position = torch.full((len(LABELS),), -1, device=labels.device)
    position[CLASSES] = torch.arange(len(CLASSES), device=labels.device)
    return functional.cross_entropy(logits[:, CLASSES].float(), position[labels], label_smoothing=_LABEL_SMOOTHING)


def _stages(text: str) -> list[Stage]:
    return [Stage(*(int(number) for number in part.split("x"))) for part in text.split(",")]


if __name__ == "__main__":
    main()
