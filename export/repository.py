"""Model repository on disk: version folders appear whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from export.errors import ExportError
from export.triton_config import render_config, render_labels
from preprocessing.contract import CropMode

MODEL_FILE = "model.onnx"


def versions(model: Path) -> list[int]:
    """Version numbers of a model folder, ascending."""
    return sorted(int(path.name) for path in model.glob("*") if path.name.isdecimal() and path.is_dir())


def install(repository: Path, name: str, onnx_file: Path, crop: CropMode) -> Path:
    """Add a model to the repository as its next version, and write its configuration.

    The version folder is filled beside the model's folders and renamed into place, so that a Triton that watches
    the repository never reads half a model.

    Args:
        repository: The model repository.
        name: The model's name and folder.
        onnx_file: The model, which is copied.
        crop: How its clips are cropped.

    Returns:
        The new version's folder.

    Raises:
        ExportError: The repository cannot be written; nothing of the new version is left in it.
    """
    model = repository / name
    try:
        model.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".export-", dir=repository) as staging:
            version = Path(staging) / "version"
            version.mkdir()
            shutil.copyfile(onnx_file, version / MODEL_FILE)
            for file, text in (("config.pbtxt", render_config(name, crop)), ("labels.txt", render_labels())):
                staged = Path(staging) / file
                staged.write_text(text)
                staged.replace(model / file)
            return version.rename(model / str(max(versions(model), default=0) + 1))
    except OSError as error:
        raise ExportError(f"The model repository {repository} cannot be written: {error}.") from error
