"""A face branch is measured on every set at hand, whatever kind of file it is in, and beside others."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from avemotion.preprocessing.contract import LABELS
from tests.support.caches import picture
from tests.training.test_face_images import write_votes
from training.checkpoint import Checkpoint, save_branch, save_checkpoint
from training.data.face_sets import ARCHIVE, POSED, VOTES
from training.data.fer2013 import LABEL_OF_CLASS
from training.evaluate_faces import main, measure
from training.faces import FaceModel
from training.network import EmotionNetwork, NetworkConfig

VOTE_OF_LABEL = {
    "neutral": "neutral",
    "happy": "happiness",
    "sad": "sadness",
    "angry": "anger",
    "fearful": "fear",
    "disgust": "disgust",
    "surprised": "surprise",
}


def png(label: str) -> bytes:
    """A picture in the style of one label."""
    drawn = picture(LABELS.index(label), np.random.default_rng(0))
    return cv2.imencode(".png", drawn)[1].tobytes()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A face of each class in an archive, most of them voted for by ten, and six posed faces."""
    folder = tmp_path / "data"
    (folder / VOTES).parent.mkdir(parents=True)
    votes = {}
    with zipfile.ZipFile(folder / ARCHIVE, "w") as files:
        for name, label in LABEL_OF_CLASS.items():
            files.writestr(f"PublicTest/{name}/a.png", png(label))
            votes[f"PublicTest/{name}/a.png"] = {VOTE_OF_LABEL[label]: 5 if label == "sad" else 9, "contempt": 1}
    votes["PublicTest/sad/a.png"] |= {"neutral": 4, "surprise": 1}
    votes["PublicTest/fear/a.png"] = {"unknown": 10}
    write_votes(folder / VOTES, votes)
    for label in VOTE_OF_LABEL:
        if label != "neutral":
            (folder / POSED / label).mkdir(parents=True)
            (folder / POSED / label / "a.png").write_bytes(png(label))
    return folder


def always_neutral(faces: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    """Calm before neutral before happy."""
    answers = np.zeros((len(faces), len(LABELS)), np.float32)
    for label, probability in {"neutral": 0.3, "calm": 0.4, "happy": 0.2, "sad": 0.1}.items():
        answers[:, LABELS.index(label)] = probability
    return answers


def test_each_set_is_measured_with_its_own_labels_and_classes(data: Path) -> None:
    report = {name: answers["neutral"] for name, answers in measure({"neutral": always_neutral}, data).items()}
    assert {name: each["number"] for name, each in report.items()} == {
        "FER2013, PublicTest": 7,
        "FER+, most votes": 6,
        "FER+, majority": 5,
        "CK+": 6,
        "CK+, among its 6 classes": 6,
    }
    assert report["FER2013, PublicTest"]["accuracy"] == pytest.approx(1 / 7)
    assert report["CK+"]["accuracy"] == 0
    assert report["CK+, among its 6 classes"]["accuracy"] == pytest.approx(1 / 6)
    # 0.7 is claimed for neutral, which one of seven is.
    assert report["FER2013, PublicTest"]["calibration_error"] == pytest.approx(0.7 - 1 / 7)


def test_the_command_measures_a_checkpoint_and_writes_its_report(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = NetworkConfig("late")
    save_checkpoint(tmp_path / "best.pt", Checkpoint(config, EmotionNetwork(config).state_dict()))
    output = tmp_path / "report"
    assert main([str(tmp_path / "best.pt"), "--data", str(data), "--output", str(output)]) == 0
    report = json.loads((output / "faces.json").read_text())
    assert len(report["CK+"]["this model"]["classes"]) == len(LABELS)
    assert "| CK+ | this model | 6 |" in capsys.readouterr().out == (output / "faces.md").read_text() + "\n"


def test_a_branch_is_measured_without_a_checkpoint(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = FaceModel()
    save_branch(tmp_path / "video.pt", model.weights(), {})
    assert main([str(tmp_path / "video.pt"), "--data", str(data)]) == 0
    assert "| CK+ | this model | 6 |" in capsys.readouterr().out


def test_the_served_model_is_measured_by_default(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMO_DATA", str(data))
    assert main([]) == 0
    assert "| FER+, majority | this model | 5 |" in capsys.readouterr().out


@pytest.mark.parametrize(("options", "reason"), [([], "--data or EMO_DATA"), (["--data", "."], "none of the sets")])
def test_missing_data_is_named(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EMO_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    config = NetworkConfig("late")
    save_checkpoint(tmp_path / "best.pt", Checkpoint(config, EmotionNetwork(config).state_dict()))
    assert main(["best.pt", *options]) == 1
    assert reason in capsys.readouterr().err


@pytest.mark.parametrize("name", ["broken.onnx", "broken.pt"])
def test_a_file_that_is_not_a_model_is_named(
    name: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_bytes(b"not a model")
    assert main([str(tmp_path / name), "--data", str(data)]) == 1
    assert f"{name} is " in capsys.readouterr().err


def test_a_missing_model_is_named(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nowhere.onnx", "--data", str(data)]) == 1
    assert "nowhere.onnx does not exist" in capsys.readouterr().err
