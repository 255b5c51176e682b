"""Other packages classify faces by scripts in their own environments; what the scripts write is checked."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from avemotion.preprocessing.contract import LABELS
from tests.support.data import data_path
from training.peers import run
from training.peers.run import Peer, PeerError, PeerName, peer_probabilities

_FACES = np.zeros((2, 16, 16, 3), np.uint8)
_LABELS = ["angry", "disgust", "fearful", "happy", "sad", "surprised", "neutral"]
_ROW = [0.1, 0.0, 0.0, 0.7, 0.0, 0.0, 0.2]


def _install(monkeypatch: pytest.MonkeyPatch, folder: Path, code: str) -> None:
    """Replace fer by a script with this code."""
    script = folder / "script.py"
    script.write_text(code)
    (folder / ".installed").touch()
    monkeypatch.setitem(run.PEERS, "fer", Peer(folder, (sys.executable, script)))


def _install_answer(monkeypatch: pytest.MonkeyPatch, folder: Path, **changed: Any) -> None:
    """Replace fer by a script that writes an answer about two faces, with these changes."""
    answer = {"package": "fake 1.0", "labels": _LABELS, "probabilities": [_ROW, _ROW], **changed}
    _install(monkeypatch, folder, f"import sys; open(sys.argv[3], 'w').write({json.dumps(answer)!r})")


def test_columns_are_in_the_order_of_the_contract(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install_answer(monkeypatch, tmp_path)
    answers = peer_probabilities("fer", _FACES)
    assert answers.package == "fake 1.0"
    assert answers.probabilities.dtype == np.float32
    expected = {"neutral": 0.2, "happy": 0.7, "angry": 0.1}
    for row in answers.probabilities:
        assert dict(zip(LABELS, row, strict=True)) == pytest.approx({label: expected.get(label, 0) for label in LABELS})


def test_the_script_gets_the_pixels_and_their_side(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install(monkeypatch, tmp_path, "import sys; sys.exit(f'{len(open(sys.argv[1], \"rb\").read())} {sys.argv[2]}')")
    with pytest.raises(PeerError, match=f"{_FACES.nbytes} 16"):
        peer_probabilities("fer", _FACES)


def test_a_script_that_fails_is_reported_with_its_last_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install(monkeypatch, tmp_path, "raise RuntimeError('the network is missing')")
    with pytest.raises(PeerError, match=r"(?s)fer failed with exit status 1:.*the network is missing"):
        peer_probabilities("fer", _FACES)


def test_a_script_that_writes_nothing_is_reported(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _install(monkeypatch, tmp_path, "")
    with pytest.raises(PeerError, match="did not write"):
        peer_probabilities("fer", _FACES)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"probabilities": [_ROW]}, "1 rows of probabilities for 2 faces"),
        ({"probabilities": [_ROW, _ROW[:6]]}, "at least 7 items"),
        ({"probabilities": [_ROW, [0.5] * 7]}, "not probabilities, first in row 1"),
        ({"probabilities": [_ROW, [-0.1, 1.1, *[0] * 5]]}, "not probabilities, first in row 1"),
        ({"probabilities": [[float("nan")] * 7, _ROW]}, "not probabilities, first in row 0"),
        ({"labels": [*_LABELS[:6], "contempt"]}, "expected neutral, happy, sad"),
        ({"package": None}, "not valid"),
    ],
)
def test_an_answer_that_is_not_valid_is_rejected(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, changed: dict[str, Any], message: str
) -> None:
    _install_answer(monkeypatch, tmp_path, **changed)
    with pytest.raises(PeerError, match=message):
        peer_probabilities("fer", _FACES)


def test_a_missing_environment_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(run.PEERS, "fer", Peer(tmp_path / "absent", ()))
    with pytest.raises(FileNotFoundError, match="make compare-faces"):
        peer_probabilities("fer", _FACES)


def test_faces_of_another_shape_are_rejected() -> None:
    with pytest.raises(ValueError, match=r"float32 \[2, 16, 12, 3\]; expected uint8"):
        peer_probabilities("fer", np.zeros((2, 16, 12, 3), np.float32))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fer", "face-api"])
def test_most_happy_faces_are_read_as_happy(name: PeerName) -> None:
    # The set has three pictures of each person.
    paths = sorted((data_path("faces_ckplus48") / "happy").glob("*.png"))[::15]
    if not (run.PEERS[name].environment / ".installed").exists():
        pytest.skip(f"{name} is not installed; `make compare-faces` installs it")
    pictures = [cv2.resize(cv2.imread(str(path)), (112, 112)) for path in paths]
    faces = np.stack([cv2.cvtColor(picture, cv2.COLOR_BGR2RGB) for picture in pictures])
    answers = peer_probabilities(name, faces)
    assert name in answers.package
    assert (answers.probabilities.argmax(axis=1) == LABELS.index("happy")).mean() > 0.5
