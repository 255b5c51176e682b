"""Train the video branch alone on the faces of FER2013.

Facial expressions are a better start than ImageNet, whose features remember who a person is. The result is a running
average of the weights. A GPU trains all epochs at 112 pixels. On a CPU an epoch at 112 pixels takes as long as four at
48, so that images can grow in stages. Each stage has its own learning-rate schedule, because a network trained at 48
pixels alone performs badly at 112.

`state.pt` is written after every epoch: the same command resumes an interrupted run.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import Final

import torch

from avemotion.preprocessing.contract import FRAME_SIZE
from training.checkpoint import save_branch
from training.data.fer2013 import Faces, read_parts
from training.exported import load_exported
from training.faces import FaceModel, FaceTraining, Recipe, Stage, accuracy, resize, unit

_EXAMPLES: Final = 512
"""Images that set the statistics of the batch normalisations of an exported model."""


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_faces fer2013.zip --output runs/faces`."""
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain_faces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, help="fer2013.zip")
    parser.add_argument("--output", type=Path, default=Path("runs/faces"), help="folder for video.pt and faces.json")
    parser.add_argument(
        "--stages", type=_stages, default="112x60", help="stages as SIDExEPOCHS, separated by commas (default: 112x60)"
    )
    parser.add_argument("--batch_size", type=int, default=Recipe.batch_size)
    parser.add_argument("--learning_rate", type=float, default=Recipe.learning_rate)
    parser.add_argument("--weight_decay", type=float, default=Recipe.weight_decay)
    parser.add_argument("--mixup", type=float, default=Recipe.mixup)
    parser.add_argument("--start_from", type=Path, help="exported model (.onnx) whose video branch is trained further")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    recipe = Recipe(
        batch_size=options.batch_size,
        learning_rate=options.learning_rate,
        weight_decay=options.weight_decay,
        mixup=options.mixup,
    )
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    training, validation, test = read_parts(options.archive)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = FaceModel().to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start_from:
        continue_from(model, options.start_from, training)
    run = FaceTraining(
        model,
        recipe,
        options.stages,
        seed=options.seed,
        trained_before=bool(options.start_from),
    )
    state_file = options.output / "state.pt"
    if state_file.exists():
        run.resume(state_file, training)
    started = time.monotonic()
    for result in run.epochs(training, validation):
        save_branch(options.output / "video.pt", run.average.weights(), asdict(result))
        run.save(state_file)
        print(json.dumps(asdict(result) | {"seconds": round(time.monotonic() - started)}), flush=True)
    report = {
        "stages": [f"{stage.side}x{stage.epochs}" for stage in options.stages],
        "recipe": asdict(recipe),
        "seed": options.seed,
        "validation_accuracy": accuracy(run.average, validation, FRAME_SIZE),
        "public_test_accuracy": accuracy(run.average, test, FRAME_SIZE),
    }
    (options.output / "faces.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


def continue_from(model: FaceModel, exported: Path, training: Faces) -> None:
    """Load the video branch and its classifier from an exported model.

    Args:
        model: Changed in place.
        exported: The ONNX file.
        training: Faces, some of which set the statistics of the batch normalisations.

    Raises:
        ModelFileError: The file cannot be read, or has another network.
    """
    chosen = torch.randperm(len(training.labels), generator=torch.Generator().manual_seed(0))[:_EXAMPLES]
    images = resize(unit(torch.from_numpy(training.images)[chosen].to(model.device)), FRAME_SIZE)
    network = model.network
    load_exported(network.video, exported, name="video", run=lambda: model(images))
    load_exported(network.video_classifier, exported, name="video_classifier", run=lambda: None)


def _stages(text: str) -> list[Stage]:
    return [Stage(*(int(number) for number in part.split("x"))) for part in text.split(",")]


if __name__ == "__main__":
    main()
