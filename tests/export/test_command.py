"""`python -m export` as people call it: everything is checked before the repository is touched."""

from __future__ import annotations

from pathlib import Path

import pytest

from export.__main__ import main
from tests.export.conftest import untrained_checkpoint
from tests.support.caches import draw_cache
from training.checkpoint import save_checkpoint
from training.network import NetworkConfig


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    save_checkpoint(path, untrained_checkpoint(NetworkConfig(fusion="late")))
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    draw_cache(folder, actors=range(1, 13))
    return folder


def export(checkpoint: Path, cache: Path, repository: Path, *options: str) -> int:
    return main(
        [
            str(checkpoint),
            *("--repository", str(repository), "--cache", str(cache), "--calibration-clips", "8"),
            *options,
        ]
    )


def test_a_checkpoint_becomes_two_models_and_a_report_on_the_screen(
    checkpoint: Path, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    repository = tmp_path / "model repository"
    assert export(checkpoint, cache, repository, "--min-agreement", "0", "--max-accuracy-loss", "1") == 0
    files = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file())
    assert files == [
        f"emotion_{kind}/{file}" for kind in ("fp32", "int8") for file in ("1/model.onnx", "config.pbtxt", "labels.txt")
    ]
    output = capsys.readouterr().out
    assert "ONNX FP32 differs from torch by at most" in output
    assert "held-out clips: agreement" in output


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--tolerance", "1e-12"], "parity_failed: fp32.onnx differs from the network"),
        (["--min-agreement", "1.01"], "gate_failed: INT8 agrees with FP32 on"),
    ],
)
def test_a_check_that_fails_leaves_the_repository_as_it_was(
    checkpoint: Path, cache: Path, capfd: pytest.CaptureFixture[str], options: list[str], reason: str
) -> None:
    repository = cache.parent / "untouched repository"
    repository.mkdir(exist_ok=True)
    assert export(checkpoint, cache, repository, *options) == 1
    assert list(repository.iterdir()) == []
    assert reason in capfd.readouterr().err


def test_a_missing_checkpoint_is_one_sentence(cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert export(tmp_path / "best.pt", cache, tmp_path / "repository") == 1
    assert "bad_model_file" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()


def test_missing_prepared_data_is_one_sentence(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert export(checkpoint, tmp_path / "nothing", tmp_path / "repository") == 1
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()
