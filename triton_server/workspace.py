"""The launcher's private folder: the backend folder and a view of the model repository, put together for one run.

It also stands for everything else that a run leaves on the machine: the shared memory of Triton's Python backend
carries the folder's name, and a lock tells a folder in use from one that a killed launcher left behind.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

from triton_server.errors import ModelRepositoryError, TritonServerError
from triton_server.installation import TritonInstallation

if sys.platform != "win32":
    import fcntl

_PREFIX = "emotion-triton-"
_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 (where Linux keeps POSIX shared memory, not a temporary file)
# Triton starts the stub through a shell without quoting, so a path that it passes on may hold nothing else.
_PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)


class Workspace:
    """A temporary folder that is removed, with the shared memory named after it, when it is closed.

    Attributes:
        backends: Triton's `--backend-directory`.
        models: Triton's `--model-repository`: links to the models that are served, under paths that the
            Python backend can pass through a shell wherever the repository is.
    """

    def __init__(self, installation: TritonInstallation, models: Sequence[Path]) -> None:
        """Make the folder and fill it, after removing what killed launchers left behind.

        Args:
            installation: The Triton that will use it.
            models: Folders of the models to serve.

        Raises:
            TritonServerError: There is no fitting temporary folder, or it cannot be written to.
        """
        temporary = _temporary_folder()
        for leftover in temporary.glob(f"{_PREFIX}*"):
            _remove_unless_locked(leftover)
        try:
            self._folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=temporary))
            self._lock = _lock(self._folder)
            self.backends = self._assemble_backends(installation)
            self.models = self._link_models(models)
        except OSError as error:
            raise TritonServerError(f"The launcher cannot prepare its folder in '{temporary}': {error}.") from error

    @property
    def shared_memory_prefix(self) -> str:
        """What the names of this run's shared memory regions must begin with."""
        return _shared_memory_prefix(self._folder)

    def remove_shared_memory(self) -> None:
        """Remove what a killed server left in shared memory; call it when no server of this run is alive."""
        _remove_shared_memory(self._folder)

    def close(self) -> None:
        """Remove everything."""
        _remove(self._folder)
        if self._lock is not None:
            self._lock.close()

    def _assemble_backends(self, installation: TritonInstallation) -> Path:
        backends = self._folder / "backends"
        python = backends / "python"
        package = backends / "onnxruntime" / "triton_server"
        python.mkdir(parents=True)
        package.mkdir(parents=True)
        # Copies and not links: Triton refuses a library that lies outside its folder.
        for file in (*installation.python_backend.iterdir(), installation.stub):
            if file.is_file():
                shutil.copy(file, python)
        # Triton imports `model.py` from the backend's folder, which is also on the stub's import path.
        here = Path(__file__).parent
        shutil.copy(here / "__init__.py", package)
        shutil.copytree(here / "backend", package / "backend", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(here / "backend" / "model.py", package.parent)
        return backends

    def _link_models(self, models: Sequence[Path]) -> Path:
        folder = self._folder / "models"
        folder.mkdir()
        for model in models:
            (folder / model.name).symlink_to(model.absolute(), target_is_directory=True)
        return folder


def find_models(repository: Path, names: Sequence[str]) -> list[Path]:
    """Folders of the models to serve.

    Args:
        repository: The model repository.
        names: Names of the models, or none for all that have a configuration and a version.

    Raises:
        ModelRepositoryError: The repository or a model is not there, or a name cannot be served.
    """
    if not repository.is_dir():
        raise ModelRepositoryError(f"There is no model repository '{repository}'.")
    present = sorted(path.parent for path in repository.glob("*/config.pbtxt"))
    if missing := [name for name in names if name not in {path.name for path in present}]:
        raise ModelRepositoryError(
            f"Model repository '{repository}' has no model '{missing[0]}' with a config.pbtxt; "
            f"it has {', '.join(path.name for path in present) or 'none'}."
        )
    models = [path for path in present if path.name in names or (not names and _has_version(path))]
    if not models:
        raise ModelRepositoryError(
            f"Model repository '{repository}' has no model with a config.pbtxt and a version folder."
        )
    for model in models:
        if not _PLAIN_PATH.fullmatch(model.name):
            raise ModelRepositoryError(
                f"Model '{model.name}' cannot be served: its name may hold letters, digits, '_', '-' and '.'."
            )
    return models


def _has_version(model: Path) -> bool:
    return any(
        path.name.isdecimal() and any(not file.name.startswith(".") for file in path.iterdir())
        for path in model.iterdir()
        if path.is_dir()
    )


def _temporary_folder() -> Path:
    for folder in (tempfile.gettempdir(), "/tmp", "/var/tmp"):  # noqa: S108 (mkdtemp makes a folder of our own there)
        if (
            _PLAIN_PATH.fullmatch(folder)
            and os.access(folder, os.W_OK)
            and not os.statvfs(folder).f_flag & os.ST_NOEXEC
        ):
            return Path(folder)
    raise TritonServerError(
        f"Triton needs a temporary folder whose path has no spaces and in which files may be executed; "
        f"neither '{tempfile.gettempdir()}' nor '/tmp' nor '/var/tmp' is one."
    )


def _lock(folder: Path) -> IO[bytes] | None:
    """Lock a folder for the life of this process; None where another process holds it."""
    lock = (folder / "lock").open("wb")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _remove_unless_locked(folder: Path) -> None:
    try:
        lock = _lock(folder)
    except OSError:
        # Another user's, or already being removed.
        return
    if lock is not None:
        _remove(folder)
        lock.close()


def _remove(folder: Path) -> None:
    _remove_shared_memory(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _shared_memory_prefix(folder: Path) -> str:
    return f"{folder.name}_"


def _remove_shared_memory(folder: Path) -> None:
    for region in _SHARED_MEMORY.glob(f"{_shared_memory_prefix(folder)}*"):
        region.unlink(missing_ok=True)
