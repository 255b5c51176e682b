"""Evaluation measures the actors that it names."""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path

import cv2
import pytest
import torch

from avemotion.preprocessing.contract import LABELS
from training import robustness
from training.checkpoint import Checkpoint, save_checkpoint
from training.data.cache import Cache, open_cache
from training.evaluate import main, unseen_clips
from training.network import EmotionNetwork, NetworkConfig, Temperatures


@pytest.fixture(autouse=True)
def two_conditions(monkeypatch: pytest.MonkeyPatch) -> None:
    """Voices are measured unchanged and in one other recording; the others are test_recordings' subject."""
    monkeypatch.setattr(robustness, "CONDITIONS", dict(islice(robustness.CONDITIONS.items(), 2)))


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    network = EmotionNetwork(NetworkConfig("late"))
    described = {"training_actors": [1, 2, 3, 4], "validation_actors": [5]}
    path = tmp_path / "best.pt"
    save_checkpoint(
        path, Checkpoint(network.config, network.state_dict(), "face", Temperatures(2.0, 3.0, 4.0), {}, described)
    )
    return path


def test_only_actors_without_any_part_in_training_are_measured(
    checkpoint: Path, small_paired_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(checkpoint), str(small_paired_folder), "--output", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert list(report["actors"]) == ["6"]
    assert report["actors"]["6"]["unweighted_recall"] == report["both"]["unweighted_recall"]
    assert report["clips"] == len(LABELS)
    for name in ("both", "video only", "audio only", "fusion of video only", "fusion of audio only"):
        assert sum(each["clips"] for each in report[name]["classes"]) == len(LABELS)
        assert 0 <= report[name]["unweighted_recall"] <= 1
    text = (tmp_path / "report" / "report.md").read_text()
    assert text.strip() == capsys.readouterr().out.strip()
    assert all(f"| {label} |" in text for label in LABELS)
    for name in ("confusion", "reliability"):
        picture = cv2.imread(str(tmp_path / "report" / f"{name}.png"))
        assert picture is not None
        assert min(picture.shape[:2]) > 300


def test_validation_actors_are_measured_only_where_asked_for_and_named_as_such(
    checkpoint: Path, small_paired_folder: Path, tmp_path: Path
) -> None:
    arguments = [str(checkpoint), str(small_paired_folder), "--output", str(tmp_path), "--validation"]
    assert main(arguments) == 0
    report = json.loads((tmp_path / "report.json").read_text())
    assert list(report["actors"]) == ["5"]
    assert report["part"] == "validation"


def test_a_checkpoint_that_knows_everybody_is_not_measured(
    small_paired_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = EmotionNetwork(NetworkConfig("late"))
    described = {"training_actors": [1, 2, 3, 4, 5, 6], "validation_actors": []}
    save_checkpoint(tmp_path / "all.pt", Checkpoint(network.config, network.state_dict(), training=described))
    assert main([str(tmp_path / "all.pt"), str(small_paired_folder)]) == 1
    assert "was trained or tuned on every actor of this data" in capsys.readouterr().err


def test_a_file_that_is_no_checkpoint_is_refused_in_one_sentence(
    small_paired_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.pt").write_text("not weights")
    assert main([str(tmp_path / "notes.pt"), str(small_paired_folder)]) == 1
    assert capsys.readouterr().err.startswith("error: ")


def test_an_actor_who_both_trained_and_validated_counts_as_trained(small_paired_folder: Path) -> None:
    cache: Cache = open_cache(small_paired_folder)
    network = EmotionNetwork(NetworkConfig("late"))
    described = {"training_actors": [1, 2], "validation_actors": [2, 3]}
    checkpoint = Checkpoint(network.config, network.state_dict(), training=described)
    assert set(cache.actors[unseen_clips(checkpoint, cache, include_validation=True)]) == {3}
    assert set(cache.actors[unseen_clips(checkpoint, cache, include_validation=False)]) == {4, 5, 6}
