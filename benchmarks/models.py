"""The models that are compared, made from the one that is committed, so that benchmarks need no training.

The committed INT8 model holds all weights. Read back out of it they are a network, which the plain design runs in
PyTorch, and whose export is the FP32 model. All three answer alike to within the rounding of activations, so that
peers can be checked against each other.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from pathlib import Path

from export.repository import install, versions

COMMITTED = Path(__file__).parents[1] / "model_repository" / "emotion_int8"
_MADE_OF = "made_of.txt"
"""File with the SHA-256 of the committed model that the others were made of."""


@dataclass(frozen=True)
class Models:
    """One network three times.

    Attributes:
        repositories: By name of the model, `emotion_int8` and `emotion_fp32`, a model repository with version 1 of it
            alone: whoever measures one loads no other, which Triton would look after.
        int8: The ONNX file of the former.
        fp32: The ONNX file of the latter.
        checkpoint: The network of both, for PyTorch.
    """

    repositories: dict[str, Path]
    int8: Path
    fp32: Path
    checkpoint: Path


def committed_model() -> Path:
    """The newest version of the INT8 model in the repository."""
    return versions(COMMITTED)[-1].folder / "model.onnx"


def fp32_model(folder: Path) -> Path:
    """The FP32 twin of the committed model. Made elsewhere, it and the file beside it, `made_of.txt`, are all it takes.

    Args:
        folder: As `make_models` fills it.
    """
    model = _models(folder).fp32
    return model if model.is_file() and _is_fresh(folder) else make_models(folder).fp32


def make_models(folder: Path) -> Models:
    """The committed INT8 model, its FP32 twin and their checkpoint; made anew where the committed model has changed.

    Raises:
        ModelFileError: The committed model's fusion is one whose weights cannot be read back.
    """
    models = _models(folder)
    if models.int8.is_file() and models.checkpoint.is_file() and _is_fresh(folder):
        return models
    # Slow to import, and absent from machines that only run models.
    import torch  # noqa: PLC0415

    from export.onnx_model import export_onnx  # noqa: PLC0415
    from export.parity import random_inputs  # noqa: PLC0415
    from training.checkpoint import save_checkpoint  # noqa: PLC0415
    from training.exported import read_exported  # noqa: PLC0415

    committed = committed_model()
    shutil.rmtree(folder, ignore_errors=True)
    clips = {name: torch.from_numpy(array) for name, array in random_inputs(8, (True, True), seed=0).items()}
    checkpoint = read_exported(committed, clips)
    folder.mkdir(parents=True)
    exported = folder / "fp32.onnx"
    export_onnx(checkpoint, exported, git_commit="unknown")
    for (name, repository), file in zip(models.repositories.items(), (committed, exported), strict=True):
        repository.mkdir()
        install(repository, {name: {"model.onnx": file}}, checkpoint.crop)
    exported.unlink()
    save_checkpoint(models.checkpoint, checkpoint)
    (folder / _MADE_OF).write_text(_digest())
    return models


def _models(folder: Path) -> Models:
    repositories = {name: folder / f"only_{name}" for name in ("emotion_int8", "emotion_fp32")}
    int8, fp32 = (repository / name / "1" / "model.onnx" for name, repository in repositories.items())
    return Models(repositories, int8, fp32, folder / "network.pt")


def _is_fresh(folder: Path) -> bool:
    """Whether the models there were made of the model that is committed now."""
    made_of = folder / _MADE_OF
    return made_of.is_file() and made_of.read_text() == _digest()


def _digest() -> str:
    return hashlib.sha256(committed_model().read_bytes()).hexdigest()
