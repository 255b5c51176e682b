"""Run a facial expression package on crops of faces, in its own environment."""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, Field, ValidationError

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.errors import EmotionError

PeerName = Literal["fer", "face-api"]

_SCRIPTS: Final = Path(__file__).parent
_ROOT: Final = _SCRIPTS.parents[1]
_PEER_LABELS: Final = tuple(label for label in LABELS if label != "calm")
_SUM_TOLERANCE: Final = 1e-3
_REPORTED_LINES: Final = 5


class PeerError(EmotionError):
    """A package's script failed, or its answer is not valid."""

    code = "peer_failed"


@dataclass(frozen=True)
class Peer:
    """How a package is run.

    Attributes:
        environment: Folder that the package is installed into, and the script's working directory.
        command: Interpreter and script.
    """

    environment: Path
    command: tuple[str | Path, ...]


PEERS: Final[dict[PeerName, Peer]] = {
    "fer": Peer(_ROOT / ".venv-peer-fer", (_ROOT / ".venv-peer-fer" / "bin" / "python", _SCRIPTS / "fer_faces.py")),
    "face-api": Peer(_ROOT / ".venv-peer-face-api", ("node", _SCRIPTS / "face_api_faces.mjs")),
}
"""The packages that faces can be compared with."""


@dataclass(frozen=True)
class PeerAnswers:
    """A package's answers for a set of faces.

    Attributes:
        package: Name and version.
        probabilities: float32 [N, 8] in the order of `LABELS`; 0 for "calm", which the packages do not know.
    """

    package: str
    probabilities: npt.NDArray[np.float32]


class _Written(BaseModel):
    """The JSON that a script writes."""

    package: str
    labels: list[str]
    probabilities: list[Annotated[list[float], Field(min_length=len(_PEER_LABELS), max_length=len(_PEER_LABELS))]]


def peer_probabilities(name: PeerName, faces: npt.NDArray[np.uint8]) -> PeerAnswers:
    """Classify crops of faces with another package.

    Args:
        name: The package.
        faces: uint8 [N, S, S, 3], RGB, cut to about the box of a face detector.

    Raises:
        ValueError: `faces` has another dtype or shape.
        FileNotFoundError: The package is not installed.
        PeerError: The script failed, or its answer is not valid.
    """
    if faces.dtype != np.uint8 or faces.ndim != 4 or faces.shape[1:] != (faces.shape[1], faces.shape[1], 3):
        raise ValueError(f"faces are {faces.dtype} {list(faces.shape)}; expected uint8 [N, S, S, 3]")
    peer = PEERS[name]
    if not (peer.environment / ".installed").exists():
        raise FileNotFoundError(f"{peer.environment} has no installed {name}; run `make compare-faces`.")
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "faces.raw", Path(folder) / "probabilities.json"
        faces.tofile(source)
        command = [*peer.command, source, str(faces.shape[1]), target]
        done = subprocess.run(command, cwd=peer.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last_lines = "\n".join(done.stderr.strip().splitlines()[-_REPORTED_LINES:])
            raise PeerError(f"{name} failed with exit status {done.returncode}:\n{last_lines}")
        if not target.exists():
            raise PeerError(f"{name} did not write its probabilities.")
        return _read_answers(name, target.read_bytes(), len(faces))


def _read_answers(name: PeerName, written: bytes, count: int) -> PeerAnswers:
    """Validate what a script wrote about `count` faces, and reorder its columns."""
    try:
        answer = _Written.model_validate_json(written)
    except ValidationError as error:
        raise PeerError(f"{name} wrote JSON that is not valid: {error}") from error
    if sorted(answer.labels) != sorted(_PEER_LABELS):
        raise PeerError(f"{name} has the labels {', '.join(answer.labels)}; expected {', '.join(_PEER_LABELS)}.")
    if len(answer.probabilities) != count:
        raise PeerError(f"{name} wrote {len(answer.probabilities)} rows of probabilities for {count} faces.")
    columns = [LABELS.index(label) for label in answer.labels]
    probabilities = np.zeros((count, len(LABELS)), np.float32)
    probabilities[:, columns] = np.asarray(answer.probabilities, np.float32).reshape(count, len(columns))
    # Written so that NaN is rejected, too.
    valid = (probabilities >= 0).all(axis=1) & (np.abs(probabilities.sum(axis=1) - 1) <= _SUM_TOLERANCE)
    if not valid.all():
        raise PeerError(f"{name} wrote values that are not probabilities, first in row {int(np.argmin(valid))}.")
    return PeerAnswers(answer.package, probabilities)
