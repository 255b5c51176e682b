"""A recipe is repeated in every fold, with branches that were not trained on the tested actors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from training import evaluate as evaluation
from training.checkpoint import Checkpoint, load_checkpoint, save_branch, save_checkpoint
from training.crossvalidation import VARIANTS
from training.data.cache import Cache, open_cache
from training.data.splits import FOLDS, actor_folds
from training.evaluate import main
from training.network import EmotionNetwork, NetworkConfig
from training.network.fusion import FUSIONS, HEADS, TOKENS
from training.options import parser

pytestmark = pytest.mark.filterwarnings(
    "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning",
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
)

RECIPE = "--fusion late --freeze_branches --views 1 --epochs 1 --batch_size 16 --early_stopping_patience 0"


@pytest.fixture(scope="module")
def branches(tmp_path_factory: pytest.TempPathFactory, small_paired_folder: Path) -> Path:
    """A video branch, and an audio branch for each fold that says whom it heard."""
    folder = tmp_path_factory.mktemp("branches")
    torch.manual_seed(0)
    weights = EmotionNetwork(NetworkConfig("late")).state_dict()
    for branch in ("video", "audio"):
        chosen = {name: value for name, value in weights.items() if name.startswith(branch)}
        save_branch(folder / f"{branch}.pt", chosen, {})
    audio = {name: value for name, value in weights.items() if name.startswith("audio")}
    cache = open_cache(small_paired_folder)
    folds = actor_folds(cache)
    for fold in range(FOLDS):
        heard = np.unique(cache.actors[folds != fold]).tolist()
        save_branch(folder / f"fold-{fold}.pt", audio, {"training_actors": heard})
    save_branch(folder / "fold-mixed.pt", audio, {"training_actors": np.unique(cache.actors).tolist()})
    return folder


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    network = EmotionNetwork(NetworkConfig("late"))
    options = vars(parser().parse_args(RECIPE.split()))
    described = {"options": {name: str(v) if isinstance(v, Path) else v for name, v in options.items()}}
    save_checkpoint(tmp_path / "best.pt", Checkpoint(network.config, network.state_dict(), training=described))
    return tmp_path / "best.pt"


def arguments(checkpoint: Path, data: Path, branches: Path, *more: str, audio: str = "fold-{fold}.pt") -> list[str]:
    files = [str(branches / "video.pt"), str(branches / audio)]
    return [str(checkpoint), str(data), "--output", str(checkpoint.parent / "report"), "--init_from", *files, *more]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_clip_is_answered_once_by_a_network_that_never_heard_its_actor(
    checkpoint: Path, branches: Path, small_paired_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(checkpoint, small_paired_folder, branches, "--kfold", "--calibrate")) == 0
    cache: Cache = open_cache(small_paired_folder)
    report = json.loads((checkpoint.parent / "report" / "report.json").read_text())
    assert report["clips"] == len(cache.records)
    assert {int(actor): each["clips"] for actor, each in report["actors"].items()} == {
        int(actor): int((cache.actors == actor).sum()) for actor in np.unique(cache.actors)
    }
    for name in ("both", "video only", "audio only", "fusion of video only", "fusion of audio only"):
        spread = report["folds"][name]
        assert len(spread["by_fold"]) == FOLDS
        assert spread["mean"] == pytest.approx(np.mean(spread["by_fold"]))
    assert all((checkpoint.parent / "report" / name).is_file() for name in ("confusion.png", "reliability.png"))
    text = capsys.readouterr().out
    assert f"| late | {100 * report['folds']['both']['mean']:.1f} ± " in text
    assert f"scores {100 * report['mixed_unweighted_recall']:.1f}" in text
    assert "a warning; do not report it" in text
    # The temperatures of all out-of-fold answers are in the checkpoint, and nothing else of it changed.
    written = load_checkpoint(checkpoint)
    assert vars(written.temperatures) == pytest.approx(report["temperatures"])
    assert written.training["options"]["fusion"] == "late"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_every_fusion_and_head_gets_a_row(
    checkpoint: Path,
    branches: Path,
    small_paired_folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    fusions = {(each.fusion, each.xattn_head, each.xattn_tokens) for each in VARIANTS if each.fusion == "xattn"}
    assert fusions == {("xattn", head, tokens) for head in HEADS for tokens in TOKENS}
    assert {each.fusion for each in VARIANTS} == set(FUSIONS)
    monkeypatch.setattr(evaluation, "VARIANTS", VARIANTS[::3])
    assert main(arguments(checkpoint, small_paired_folder, branches, "--compare")) == 0
    reports = json.loads((checkpoint.parent / "report" / "report.json").read_text())
    assert list(reports) == ["late", "xattn over branch tokens, concat head", "xattn over mel tokens, gated head"]
    assert all(len(report["folds"]["both"]["by_fold"]) == FOLDS for report in reports.values())
    text = capsys.readouterr().out
    assert "| late |" in text
    assert "| xattn over branch tokens, concat head |" in text


def test_branches_that_heard_the_tested_actors_are_refused(
    checkpoint: Path, branches: Path, small_paired_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(checkpoint, small_paired_folder, branches, "--kfold", audio="fold-1.pt")) == 1
    assert "fold-1.pt was trained on actors that this run validates or tests on" in capsys.readouterr().err


def test_a_checkpoint_that_does_not_say_how_it_was_trained_is_refused(
    small_paired_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    network = EmotionNetwork(NetworkConfig("late"))
    save_checkpoint(tmp_path / "best.pt", Checkpoint(network.config, network.state_dict()))
    assert main([str(tmp_path / "best.pt"), str(small_paired_folder), "--kfold", "--output", str(tmp_path)]) == 1
    assert "does not hold the options that it was trained with" in capsys.readouterr().err
