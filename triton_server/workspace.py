"""The launcher's private folder: the backend folder and a view of the model repository, put together for one run."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from triton_server import reaper
from triton_server.errors import ModelRepositoryError, TritonServerError
from triton_server.installation import TritonInstallation

_PREFIX = "emotion-triton-"
# Triton starts the stub through a shell without quoting, so a path that it passes on may hold nothing else.
_PLAIN_PATH = re.compile(r"[\w./-]+", re.ASCII)
_CLEANING_SECONDS = 15.0


class Workspace:
    """A temporary folder that is removed, with everything that the run left on the machine, when it is closed.

    Attributes:
        folder: The folder itself.
        backends: Triton's `--backend-directory`.
        models: Triton's `--model-repository`: links to the models that are served, under paths that the
            Python backend can pass through a shell wherever the repository is.
    """

    def __init__(self, installation: TritonInstallation, models: Sequence[Path]) -> None:
        """Make the folder and fill it.

        Args:
            installation: The Triton that will use it.
            models: Folders of the models to serve.

        Raises:
            TritonServerError: There is no fitting temporary folder, or it cannot be written to.
        """
        temporary = _temporary_folder()
        self.folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=temporary))
        self._reaper = self._start_reaper(installation)
        try:
            self.backends = self._assemble_backends(installation)
            self.models = self._link_models(models)
        except OSError as error:
            self.close()
            raise TritonServerError(f"The launcher cannot prepare its folder in '{temporary}': {error}.") from error

    @property
    def shared_memory_prefix(self) -> str:
        """What the names of this run's shared memory regions must begin with."""
        return reaper.shared_memory_prefix(self.folder)

    def remove_shared_memory(self) -> None:
        """Remove what a killed server left in shared memory; call it when no server of this run is alive."""
        reaper.remove_shared_memory(self.folder)

    def close(self) -> None:
        """Remove everything."""
        with contextlib.suppress(BrokenPipeError, subprocess.TimeoutExpired):
            self._reaper.communicate(b"clean up", timeout=_CLEANING_SECONDS)
        # Where somebody killed the reaper.
        reaper.clean(self.folder)

    def _start_reaper(self, installation: TritonInstallation) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [installation.python, "-I", "-S", reaper.__file__, str(os.getpid()), self.folder],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )

    def _assemble_backends(self, installation: TritonInstallation) -> Path:
        backends = self.folder / "backends"
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
        folder = self.folder / "models"
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
        if not _has_version(model):
            raise ModelRepositoryError(f"Model '{model.name}' has no version folder with a file in '{model}'.")
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
