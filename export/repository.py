"""The model repository on disk. Version folders appear atomically, and version numbers are never reused.

Triton serves the newest version (`version_policy` of config.pbtxt). When an older version is promoted, newer ones are
retired: they get a name that Triton does not read. `3` becomes `retired-3`, as Triton would read `3.retired` as
version 3.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.model_metadata import metrics_of
from export.errors import ExportError, RepositoryError
from export.triton_config import WARMUP_FOLDER, render_config, render_labels, warmup_files

MODEL_FILE: Final = "model.onnx"
RETIRED: Final = "retired-"

_STAGING: Final = ".export-"
_STAGED_VERSION: Final = "version"


@dataclass(frozen=True)
class Version:
    """One version of a model.

    Attributes:
        number: The version number.
        folder: The version's folder.
    """

    number: int
    folder: Path

    @property
    def is_retired(self) -> bool:
        """Whether the version is hidden from Triton."""
        return self.folder.name.startswith(RETIRED)


def versions(model: Path) -> list[Version]:
    """Versions of a model, including retired ones, by number."""
    folders = [path for path in model.glob("*") if path.is_dir() and path.name.removeprefix(RETIRED).isdecimal()]
    return sorted(
        (Version(int(path.name.removeprefix(RETIRED)), path) for path in folders), key=lambda version: version.number
    )


def served(model: Path) -> Version | None:
    """The version that Triton serves: the newest that is not retired."""
    return next((version for version in reversed(versions(model)) if not version.is_retired), None)


def install(repository: Path, models: Mapping[str, Mapping[str, Path]], crop: CropMode) -> list[Path]:
    """Add a version of each model to the repository, all of them or none.

    Version folders are filled in a temporary folder and renamed into place, so that a Triton server that watches the
    repository never reads an incomplete model.

    Args:
        repository: The model repository.
        models: For each model, the files to copy into the new version, by target name.
        crop: Crop mode of the models.

    Returns:
        The new versions' folders.

    Raises:
        ExportError: The repository cannot be written; it is unchanged.
    """
    done: list[Path] = []
    replaced: dict[Path, bytes | None] = {}
    made = [path for path in (repository, *(repository / name for name in models)) if not path.exists()]
    try:
        for name in models:
            (repository / name).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=repository) as staging:
            numbers = {name: _next_number(repository / name) for name in models}
            staged = {name: Path(staging) / name for name in models}
            for name, files in models.items():
                _stage(staged[name], repository / name, numbers[name], files, crop)
            for name, folder in staged.items():
                _replace_configuration(folder, repository / name, replaced)
                done.append((folder / _STAGED_VERSION).rename(repository / name / str(numbers[name])))
    except OSError as error:
        _undo(done, replaced, made)
        raise ExportError(f"The model repository {repository} cannot be written: {error}.") from error
    return done


def promote(model: Path, number: int) -> None:
    """Make Triton serve this version: newer versions are retired, and this one is not retired any longer.

    Args:
        model: The model's folder.
        number: The version.

    Raises:
        RepositoryError: There is no such version, or the folder cannot be written.
    """
    found = versions(model)
    chosen = next((version for version in found if version.number == number), None)
    if chosen is None or not (chosen.folder / MODEL_FILE).is_file():
        known = ", ".join(str(version.number) for version in found) or "none"
        raise RepositoryError(f"Model {model.name} has no version {number} with a {MODEL_FILE}; it has {known}.")
    try:
        # The wanted version comes first, so that Triton has a version to serve at every moment.
        if chosen.is_retired:
            chosen.folder.rename(model / str(number))
        for version in reversed(found):
            if version.number > number and not version.is_retired:
                version.folder.rename(model / f"{RETIRED}{version.number}")
    except OSError as error:
        raise RepositoryError(f"The model folder {model} cannot be written: {error}.") from error


def roll_back(model: Path) -> int:
    """Promote the version before the one that is served now, and return its number.

    Raises:
        RepositoryError: There is no older version, or the folder cannot be written.
    """
    current = served(model)
    older = [version.number for version in versions(model) if current is not None and version.number < current.number]
    if not older:
        state = f"version {current.number} is its oldest" if current else "it has no version"
        raise RepositoryError(f"Model {model.name} cannot be rolled back: {state}.")
    promote(model, older[-1])
    return older[-1]


def prune(model: Path, keep: int) -> list[int]:
    """Delete all versions but the served one and the newest others.

    Args:
        model: The model's folder.
        keep: Number of versions to keep, including the served one; at least 1.

    Returns:
        Numbers of the deleted versions.

    Raises:
        RepositoryError: The folder cannot be written.
    """
    current = served(model)
    others = [version for version in versions(model) if current is None or version.number != current.number]
    others_to_keep = keep - (current is not None)
    doomed = others[: len(others) - others_to_keep] if others_to_keep else others
    try:
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=model.parent) as staging:
            for version in doomed:
                # Renaming hides the version from Triton at once; deleting file by file would leave an incomplete model.
                version.folder.rename(Path(staging) / version.folder.name)
    except OSError as error:
        raise RepositoryError(f"The model folder {model} cannot be written: {error}.") from error
    return [version.number for version in doomed]


def measured(model: Path) -> dict[str, dict[str, Any]]:
    """Metrics of the versions of a model, by number, from the metadata of their files."""
    files = {str(version.number): version.folder / MODEL_FILE for version in versions(model)}
    return _metrics(files)


def _metrics(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    from export.inspection import read_metadata  # noqa: PLC0415 (slow to import; most commands do not need it)

    found = {version: metrics_of(read_metadata(path)) for version, path in files.items()}
    return {version: metrics for version, metrics in found.items() if metrics}


def _next_number(model: Path) -> int:
    return max((version.number for version in versions(model)), default=0) + 1


def _stage(folder: Path, model: Path, number: int, files: Mapping[str, Path], crop: CropMode) -> None:
    """Write all files of one model into a folder, so that a full disk is noticed before anything is moved.

    Args:
        folder: The folder, which is created.
        model: The model's folder.
        number: Number of the new version.
        files: The new version's files by target name.
        crop: Crop mode of the model.
    """
    (folder / _STAGED_VERSION).mkdir(parents=True)
    for target, source in files.items():
        shutil.copyfile(source, folder / _STAGED_VERSION / target)
    metrics = measured(model) | _metrics({str(number): folder / _STAGED_VERSION / MODEL_FILE})
    write_configuration(folder, model.name, crop, metrics)


def write_configuration(
    folder: Path, name: str, crop: CropMode, metrics: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write the files that Triton needs beside a model's versions: configuration, label names, warm-up tensors.

    Args:
        folder: The model's folder.
        name: The model's name.
        crop: Crop mode of the model.
        metrics: Metrics of its versions, by number.
    """
    (folder / WARMUP_FOLDER).mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(render_config(name, crop, metrics=metrics))
    (folder / "labels.txt").write_text(render_labels())
    for file, content in warmup_files().items():
        (folder / WARMUP_FOLDER / file).write_bytes(content)


def _replace_configuration(staged: Path, model: Path, replaced: dict[Path, bytes | None]) -> None:
    """Move configuration files into place, but only those that change: Triton reloads the model for each.

    Args:
        staged: Folder of the new files.
        model: The model's folder.
        replaced: Filled with the former content of each replaced file; None for a new file.
    """
    (model / WARMUP_FOLDER).mkdir(exist_ok=True)
    for file in (*(f"{WARMUP_FOLDER}/{name}" for name in warmup_files()), "labels.txt", "config.pbtxt"):
        old, new = model / file, staged / file
        before = old.read_bytes() if old.is_file() else None
        if before != new.read_bytes():
            new.replace(old)
            replaced[old] = before


def _undo(done: list[Path], replaced: dict[Path, bytes | None], made: list[Path]) -> None:
    """Restore the repository after a failed write, as far as possible."""
    for folder in done:
        shutil.rmtree(folder, ignore_errors=True)
    with contextlib.suppress(OSError):
        for path, before in replaced.items():
            if before is None:
                path.unlink()
            else:
                path.write_bytes(before)
        for path in replaced:
            if path.parent.name == WARMUP_FOLDER and not any(path.parent.iterdir()):
                path.parent.rmdir()
    for folder in reversed(made):
        shutil.rmtree(folder, ignore_errors=True)
