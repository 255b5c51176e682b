"""The models that are compared, made from the committed one, so that benchmarks need no training.

The committed INT8 model holds all weights. Read back, they are a network, which the plain design runs in PyTorch and
which is exported again as the FP32 model. All three agree to within the rounding of activations.
"""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime

from avemotion.preprocessing.contract import INPUTS, PROBABILITIES
from benchmarks.results import FOLDER, ROOT
from export.repository import install, versions

Tensors = dict[str, npt.NDArray[Any]]
"""The contract's inputs by name, with a batch dimension."""

BATCH: Final = 8
"""Clips in a batch that suits the CPU."""

_MADE_OF: Final = "made_of.txt"
"""File with the SHA-256 of the committed model that the others were made from."""


class Models(NamedTuple):
    """One network in three forms: the ONNX files, and the network for PyTorch.

    `repositories` holds a model repository for each of `emotion_int8` and `emotion_fp32`, with that model alone.
    """

    repositories: dict[str, Path]
    int8: Path
    fp32: Path
    checkpoint: Path


def committed_model() -> Path:
    """The newest version of the committed INT8 model."""
    return versions(ROOT / "model_repository" / "emotion_int8")[-1].folder / "model.onnx"


def make_models(folder: Path = FOLDER / "models") -> Models:
    """The models, made again if the committed one has changed.

    A machine without PyTorch needs only the files `fp32` and `made_of.txt`, copied from elsewhere.

    Raises:
        ModelFileError: The weights of the committed model's fusion cannot be read back.
    """
    repositories = {name: folder / f"only_{name}" for name in ("emotion_int8", "emotion_fp32")}
    int8, fp32 = (repository / name / "1" / "model.onnx" for name, repository in repositories.items())
    models = Models(repositories, int8, fp32, folder / "network.pt")
    digest = hashlib.sha256(committed_model().read_bytes()).hexdigest()
    made_of = folder / _MADE_OF
    if fp32.is_file() and made_of.is_file() and made_of.read_text() == digest:
        return models
    # Slow to import, and absent from machines that only run models.
    import torch  # noqa: PLC0415

    from export.onnx_model import export_onnx  # noqa: PLC0415
    from export.parity import random_inputs  # noqa: PLC0415
    from training.checkpoint import save_checkpoint  # noqa: PLC0415
    from training.exported import read_exported  # noqa: PLC0415

    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    clips = {name: torch.from_numpy(array) for name, array in random_inputs(8, (True, True), seed=0).items()}
    checkpoint = read_exported(committed_model(), clips)
    exported = folder / "fp32.onnx"
    export_onnx(checkpoint, exported, git_commit="unknown")
    for (name, repository), file in zip(repositories.items(), (committed_model(), exported), strict=True):
        repository.mkdir()
        install(repository, {name: {"model.onnx": file}}, checkpoint.crop)
    exported.unlink()
    save_checkpoint(models.checkpoint, checkpoint)
    made_of.write_text(digest)
    return models


def session(path: Path) -> onnxruntime.InferenceSession:
    """A model on one thread of the CPU."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def infer(model: onnxruntime.InferenceSession, tensors: Tensors) -> npt.NDArray[Any]:
    """Probabilities [batch, labels]."""
    return np.asarray(model.run([PROBABILITIES.name], {spec.name: tensors[spec.name] for spec in INPUTS})[0])
