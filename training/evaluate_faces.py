"""Measure a face branch on faces that it was not trained on, and compare it with other packages.

The sets differ: FER2013's labels are search terms, those of FER+ are votes, the faces of CK+ are posed and those of
the web natural. CK+ has no neutral faces, so that it is also measured among its own six classes.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import InvalidGraph, InvalidProtobuf

from avemotion.preprocessing.contract import FRAME_COUNT, FRAMES, LABELS, LOG_MEL, PRESENT, VIDEO_PROBABILITIES
from avemotion.preprocessing.errors import EmotionError, ModelFileError
from avemotion.preprocessing.frame import UInt8Array
from training.checkpoint import is_branch, load_checkpoint, load_weights
from training.data.face_sets import FaceSet, face_sources
from training.data.faces import FACE_LABELS
from training.evaluation import softmax
from training.faces import FaceModel, predict_faces, spread
from training.metrics import score
from training.peers.run import PEERS, PeerName, peer_probabilities

DATA_VARIABLE: Final = "EMO_DATA"
"""Names the folder of data if the command does not."""

_MODEL: Final = Path("model_repository/emotion_int8/1/model.onnx")
_BATCH: Final = 16
_NEUTRAL, _CALM = LABELS.index("neutral"), LABELS.index("calm")

Probabilities = npt.NDArray[np.float32]
Answer = Callable[[UInt8Array], Probabilities]
"""Maps faces uint8 [N, 112, 112, 3] to probabilities [N, 8]."""


class NoFacesError(EmotionError):
    """The folder of data has none of the sets."""

    code = "no_faces"


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.evaluate_faces MODEL --data DATA`; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.data is None:
            raise NoFacesError(f"Name the folder of data by --data or {DATA_VARIABLE}.")
        answers = {"this model": _answer_of(options.model)}
        if options.peers:
            answers |= {name: partial(_of_peer, name) for name in PEERS}
        report = measure(answers, options.data)
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    text = faces_markdown(report)
    if options.output:
        options.output.mkdir(parents=True, exist_ok=True)
        (options.output / "faces.json").write_text(json.dumps(report, indent=2) + "\n")
        (options.output / "faces.md").write_text(text)
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_faces",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "model", type=Path, nargs="?", default=_MODEL, help=f".onnx, checkpoint or branch (default: {_MODEL})"
    )
    folder = os.environ.get(DATA_VARIABLE)
    parser.add_argument(
        "--data", type=Path, default=folder and Path(folder), help=f"folder of the sets (default: ${DATA_VARIABLE})"
    )
    parser.add_argument("--peers", action="store_true", help="also measure other packages; see `make compare-faces`")
    parser.add_argument("--output", type=Path, help="folder for faces.json and faces.md")
    return parser


def measure(answers: dict[str, Answer], folder: Path) -> dict[str, dict[str, Any]]:
    """Score answers about each set.

    Args:
        answers: By the name of who gives them.
        folder: Folder of data.

    Returns:
        Scores as of `Scores` by set and name, ready for JSON.

    Raises:
        NoFacesError: The folder has none of the sets.
    """
    report: dict[str, dict[str, Any]] = {}
    for source in face_sources(folder):
        given = {name: answer(source.images) for name, answer in answers.items()}
        for faces in source.sets:
            report[faces.name] = {name: _scores(rows[faces.rows], faces) for name, rows in given.items()}
    if not report:
        raise NoFacesError(f"{folder} has none of the sets of faces.")
    return report


def faces_markdown(report: dict[str, dict[str, Any]]) -> str:
    """A row for each set and name: accuracy, unweighted recall, recall of each class and calibration error."""
    heads = ("faces", "answers of", "number", "accuracy", "unweighted recall", *FACE_LABELS, "calibration error")
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for faces, answers in report.items():
        for name, scores in answers.items():
            recall = {each["label"]: each["recall"] for each in scores["classes"] if each["clips"]}
            shares = [scores["accuracy"], scores["unweighted_recall"], *(recall.get(label) for label in FACE_LABELS)]
            cells = " | ".join("–" if share is None else f"{100 * share:.1f}" for share in shares)
            lines.append(f"| {faces} | {name} | {scores['number']} | {cells} | {scores['calibration_error']:.3f} |")
    return "\n".join(lines) + "\n"


def of_faces(probabilities: Probabilities) -> Probabilities:
    """Probabilities [N, 8] with calm counted as neutral: the sets do not tell them apart."""
    joined = probabilities.copy()
    joined[:, _NEUTRAL] += joined[:, _CALM]
    joined[:, _CALM] = 0
    return joined


def _scores(probabilities: Probabilities, faces: FaceSet) -> dict[str, Any]:
    allowed = np.array([label in faces.classes for label in LABELS])
    chosen = np.where(allowed, of_faces(probabilities), 0)
    chosen /= np.maximum(chosen.sum(axis=1, keepdims=True), np.finfo(np.float32).tiny)
    scores = score(chosen, faces.labels)
    return {
        "number": len(faces.labels),
        "accuracy": scores.accuracy,
        "unweighted_recall": scores.unweighted_recall,
        "calibration_error": scores.calibration_error,
        "classes": [{"label": each.label, "recall": each.recall, "clips": each.clips} for each in scores.classes],
        "confusion": scores.confusion,
    }


def _answer_of(model: Path) -> Answer:
    """The answers of a model's video branch.

    Raises:
        FileNotFoundError: The file does not exist.
        ModelFileError: It is not a model.
    """
    if not model.is_file():
        raise FileNotFoundError(f"{model} does not exist.")
    if model.suffix == ".onnx":
        return _of_export(model)
    return _of_branch(model) if is_branch(model) else _of_checkpoint(model)


def _of_peer(name: PeerName, faces: UInt8Array) -> Probabilities:
    return peer_probabilities(name, faces).probabilities


def _of_branch(path: Path) -> Answer:
    branch = FaceModel()
    load_weights(path, branch.network)
    return lambda faces: softmax(spread(predict_faces(branch, faces)))


def _of_export(path: Path) -> Answer:
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except (InvalidGraph, InvalidProtobuf) as error:
        raise ModelFileError(f"{path} is not a readable ONNX model: {error}") from error

    def answer(faces: UInt8Array) -> Probabilities:
        parts = []
        for some in np.array_split(faces, range(_BATCH, len(faces), _BATCH)):
            inputs = {
                FRAMES.name: np.repeat(some[:, None], FRAME_COUNT, axis=1),
                LOG_MEL.name: np.full((len(some), *LOG_MEL.shape), -1, np.float32),
                PRESENT.name: np.tile((True, False), (len(some), 1)),
            }
            parts.append(session.run([VIDEO_PROBABILITIES.name], inputs)[0])
        return np.concatenate(parts)

    return answer


def _of_checkpoint(path: Path) -> Answer:
    checkpoint = load_checkpoint(path)
    network = checkpoint.network()

    @torch.inference_mode()
    def answer(faces: UInt8Array) -> Probabilities:
        parts = []
        for some in torch.split(torch.from_numpy(faces), _BATCH):
            logits = network.video_classifier(network.encode_video(some[:, None])[:, 0])
            parts.append(torch.softmax(logits / checkpoint.temperatures.video, dim=1).numpy())
        return np.concatenate(parts)

    return answer


if __name__ == "__main__":
    sys.exit(main())
