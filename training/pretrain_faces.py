"""Train the video branch alone on images of faces: FER2013, the votes of FER+, and folders of labelled images.

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

import numpy as np
import torch

from training.checkpoint import save_branch
from training.data.examples import is_unseen
from training.data.faces import FaceImages, fer2013_images, folder_images, joined, read_names, read_votes
from training.data.fer2013 import read_parts
from training.exported import load_exported
from training.faces import FaceModel, FaceTraining, Recipe, Stage

_EXAMPLES: Final = 512
"""Images that set the statistics of the batch normalisations of an exported model."""

_VALIDATION_SHARE: Final = 8
"""Of a folder's images that are not measured on, one of so many is held out for validation."""


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_faces fer2013.zip --output runs/faces`."""
    options = _parser().parse_args(arguments)
    recipe = Recipe(**{name: getattr(options, name) for name in asdict(Recipe())})
    options.output.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(options.seed)
    torch.backends.cudnn.benchmark = True
    training, validation = read_faces(options.archive, options.votes, options.leave_out, options.faces)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = FaceModel(recipe.dropout).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if options.start_from:
        continue_from(model, options.start_from, training)
    run = FaceTraining(
        model,
        recipe,
        options.stages,
        seed=options.seed,
        trained_before=bool(options.start_from),
        workers=options.workers,
        compiled=options.compile,
    )
    state_file = options.output / "state.pt"
    if state_file.exists():
        run.resume(state_file, training)
    started = time.monotonic()
    for result in run.epochs(training, validation):
        report = {
            "stages": [f"{stage.side}x{stage.epochs}" for stage in options.stages],
            "recipe": asdict(recipe),
            "seed": options.seed,
            "faces": {"training": len(training), "validation": len(validation)},
            "last_epoch": asdict(result),
        }
        save_branch(options.output / "video.pt", run.average.weights(), report)
        (options.output / "faces.json").write_text(json.dumps(report, indent=2) + "\n")
        run.save(state_file)
        print(json.dumps(asdict(result) | {"seconds": round(time.monotonic() - started)}), flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.pretrain_faces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("archive", type=Path, help="fer2013.zip")
    parser.add_argument("--votes", type=Path, help="votes of FER+ by the names of the archive's images (.csv)")
    parser.add_argument("--leave_out", type=Path, help="table (.csv) of the archive's images that are not trained on")
    parser.add_argument("--faces", type=Path, action="append", default=[], help="folder of further <label>/*.jpg")
    parser.add_argument("--output", type=Path, default=Path("runs/faces"), help="folder for video.pt and faces.json")
    parser.add_argument(
        "--stages", type=_stages, default="112x60", help="stages as SIDExEPOCHS, separated by commas (default: 112x60)"
    )
    for name, value in asdict(Recipe()).items():
        parser.add_argument(f"--{name}", type=type(value), default=value, help=f"(default: {value})")
    parser.add_argument("--start_from", type=Path, help="exported model (.onnx) whose video branch is trained further")
    parser.add_argument("--workers", type=int, default=1, help="processes that augment images (default: 1)")
    parser.add_argument("--compile", action="store_true", help="compile the network: a third faster on a CPU")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def read_faces(
    archive: Path, votes: Path | None, leave_out: Path | None, folders: list[Path]
) -> tuple[FaceImages, FaceImages]:
    """Read the faces to train on and those to validate on.

    A quarter of each folder's images is in neither: `training.evaluate_faces` measures on it.

    Args:
        archive: `fer2013.zip`.
        votes: Votes of FER+; None for FER2013's own labels.
        leave_out: Table of images that are not trained on.
        folders: Folders of further images.

    Raises:
        DamagedMediaError: A file cannot be read, or has no faces.
    """
    voted = read_votes(votes) if votes else None
    names = read_names(leave_out) if leave_out else set()
    training, validation, _ = (fer2013_images(part, voted, leave_out=names) for part in read_parts(archive))
    parts = {True: [training], False: [validation]}
    for folder in folders:
        images = folder_images(folder)
        seen = images.subset(np.array([not is_unseen(Path(name).name) for name in images.names]))
        chosen = np.random.default_rng(0).permutation(len(seen)) >= len(seen) // _VALIDATION_SHARE
        for is_trained, some in parts.items():
            some.append(seen.subset(chosen == is_trained))
    return joined(parts[True]), joined(parts[False])


def continue_from(model: FaceModel, exported: Path, training: FaceImages) -> None:
    """Load the video branch and its classifier from an exported model.

    Args:
        model: Changed in place.
        exported: The ONNX file.
        training: Faces, some of which set the statistics of the batch normalisations.

    Raises:
        ModelFileError: The file cannot be read, or has another network.
    """
    chosen = np.zeros(len(training), np.bool_)
    chosen[np.random.default_rng(0).permutation(len(training))[:_EXAMPLES]] = True
    images = torch.from_numpy(training.subset(chosen).cropped()).to(model.device)
    network = model.network
    load_exported(network.video, exported, name="video", run=lambda: model(images))
    load_exported(network.video_classifier, exported, name="video_classifier", run=lambda: None)


def _stages(text: str) -> list[Stage]:
    return [Stage(*(int(number) for number in part.split("x"))) for part in text.split(",")]


if __name__ == "__main__":
    main()
