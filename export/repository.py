"""Model repository on disk: version folders appear whole or not at all, and a number means one file for ever.

Triton serves the newest version (`version_policy` of config.pbtxt). So a version that is not to be served, because an
older one was promoted, is put aside under a name that Triton does not read: `3` becomes `retired-3`. (It would read
`3.retired` as version 3.)
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
        number: Its number.
        folder: Where it lies.
    """

    number: int
    folder: Path

    @property
    def is_retired(self) -> bool:
        """Whether Triton does not see it."""
        return self.folder.name.startswith(RETIRED)


def versions(model: Path) -> list[Version]:
    """Versions of a model folder, retired ones too, by number."""
    folders = [path for path in model.glob("*") if path.is_dir() and path.name.removeprefix(RETIRED).isdecimal()]
    return sorted(
        (Version(int(path.name.removeprefix(RETIRED)), path) for path in folders), key=lambda version: version.number
    )


def served(model: Path) -> Version | None:
    """The version that Triton serves: the newest that is not retired."""
    return next((version for version in reversed(versions(model)) if not version.is_retired), None)


def install(repository: Path, models: Mapping[str, Mapping[str, Path]], crop: CropMode) -> list[Path]:
    """Add models to the repository, each as its next version, all of them or none.

    Version folders are filled beside the models' folders and renamed into place, so that a Triton that watches the
    repository never reads half a model.

    Args:
        repository: The model repository.
        models: By name of the model, the files of the new version by the names that they get, which are copied.
        crop: How the models' clips are cropped.

    Returns:
        The new versions' folders.

    Raises:
        ExportError: The repository cannot be written; it is as it was.
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
    """Let Triton serve this version: newer ones are retired, and it is no longer if it was.

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
        # First the one that is wanted, so that there is one to serve at every moment.
        if chosen.is_retired:
            chosen.folder.rename(model / str(number))
        for version in reversed(found):
            if version.number > number and not version.is_retired:
                version.folder.rename(model / f"{RETIRED}{version.number}")
    except OSError as error:
        raise RepositoryError(f"The model folder {model} cannot be written: {error}.") from error


def roll_back(model: Path) -> int:
    """Promote the version before the one that is served, and say which that is.

    Raises:
        RepositoryError: There is none, or the folder cannot be written.
    """
    current = served(model)
    older = [version.number for version in versions(model) if current is not None and version.number < current.number]
    if not older:
        state = f"version {current.number} is its oldest" if current else "it has no version"
        raise RepositoryError(f"Model {model.name} cannot be rolled back: {state}.")
    promote(model, older[-1])
    return older[-1]


def prune(model: Path, keep: int) -> list[int]:
    """Delete all but the version that is served and the newest others.

    Args:
        model: The model's folder.
        keep: How many versions to keep, the one that is served among them; 1 at least.

    Returns:
        Numbers of the versions that were deleted.

    Raises:
        RepositoryError: The folder cannot be written.
    """
    current = served(model)
    others = [version for version in versions(model) if current is None or version.number != current.number]
    kept = keep - (current is not None)
    doomed = others[: len(others) - kept] if kept else others
    try:
        with tempfile.TemporaryDirectory(prefix=_STAGING, dir=model.parent) as staging:
            for version in doomed:
                # A renamed folder is gone for Triton at once; one that is deleted file by file would be half a model.
                version.folder.rename(Path(staging) / version.folder.name)
    except OSError as error:
        raise RepositoryError(f"The model folder {model} cannot be written: {error}.") from error
    return [version.number for version in doomed]


def measured(model: Path) -> dict[str, dict[str, Any]]:
    """What the versions of a model folder were measured to be, by number, as far as their files say so."""
    files = {str(version.number): version.folder / MODEL_FILE for version in versions(model)}
    return _metrics(files)


def _metrics(files: Mapping[str, Path]) -> dict[str, dict[str, Any]]:
    from export.inspection import read_metadata  # noqa: PLC0415 (slow to import; most commands do without)

    found = {version: metrics_of(read_metadata(path)) for version, path in files.items()}
    return {version: metrics for version, metrics in found.items() if metrics}


def _next_number(model: Path) -> int:
    return max((version.number for version in versions(model)), default=0) + 1


def _stage(folder: Path, model: Path, number: int, files: Mapping[str, Path], crop: CropMode) -> None:
    """Write everything of one model into a folder, so that a full disk is noticed before anything is moved.

    Args:
        folder: The folder, which is made.
        model: The model's own folder.
        number: Number of the new version.
        files: The new version's files by the names that they get.
        crop: How the model's clips are cropped.
    """
    (folder / _STAGED_VERSION).mkdir(parents=True)
    for target, source in files.items():
        shutil.copyfile(source, folder / _STAGED_VERSION / target)
    metrics = measured(model) | _metrics({str(number): folder / _STAGED_VERSION / MODEL_FILE})
    write_configuration(folder, model.name, crop, metrics)


def write_configuration(
    folder: Path, name: str, crop: CropMode, metrics: Mapping[str, Mapping[str, Any]] | None = None
) -> None:
    """Write what Triton needs of a model beside its versions: configuration, label names, warm-up tensors.

    Args:
        folder: The model's folder.
        name: The model's name.
        crop: How its clips are cropped.
        metrics: What its versions were measured to be, by number.
    """
    (folder / WARMUP_FOLDER).mkdir(parents=True, exist_ok=True)
    (folder / "config.pbtxt").write_text(render_config(name, crop, metrics=metrics))
    (folder / "labels.txt").write_text(render_labels())
    for file, content in warmup_files().items():
        (folder / WARMUP_FOLDER / file).write_bytes(content)


def _replace_configuration(staged: Path, model: Path, replaced: dict[Path, bytes | None]) -> None:
    """Move configuration files into place; those that would not change stay, as Triton would load the model again.

    Args:
        staged: Folder of the new files.
        model: The model's folder.
        replaced: Gets what each file that is replaced held, None where there was none.
    """
    (model / WARMUP_FOLDER).mkdir(exist_ok=True)
    for file in (*(f"{WARMUP_FOLDER}/{name}" for name in warmup_files()), "labels.txt", "config.pbtxt"):
        old, new = model / file, staged / file
        before = old.read_bytes() if old.is_file() else None
        if before != new.read_bytes():
            new.replace(old)
            replaced[old] = before


def _undo(done: list[Path], replaced: dict[Path, bytes | None], made: list[Path]) -> None:
    """Leave the repository as it was, as far as the disk lets us."""
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
