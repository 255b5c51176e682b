"""`python -m export` as users call it: all checks come before the repository is written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from avemotion.preprocessing.contract import CONTRACT_VERSION
from export import pipeline
from export.__main__ import main
from export.repository import install
from tests.export.conftest import Exported
from tests.support.caches import synthetic_cache
from training.checkpoint import Checkpoint, save_checkpoint
from training.data.splits import FOLDS

LENIENT = ("--min-agreement", "0", "--max-accuracy-loss", "1")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def checkpoint(exported: Exported, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("trained") / "best.pt"
    save_checkpoint(path, exported.checkpoint)
    return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache")
    synthetic_cache(folder, actors=range(1, FOLDS + 1))
    return folder


@pytest.fixture(autouse=True)
def what_takes_long_is_done_once(exported: Exported, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checkpoint's export is copied, and compared with the network; other batches are test_onnx_model's subject."""

    def copy_export(_checkpoint: Checkpoint, path: Path, *, git_commit: str) -> None:  # noqa: ARG001
        shutil.copyfile(exported.fp32, path)

    monkeypatch.setattr(pipeline, "export_onnx", copy_export)
    monkeypatch.setattr(pipeline, "BATCH_SIZES", (2,))


def arguments(checkpoint: Path, cache: Path, repository: Path, *options: str) -> list[str]:
    return [
        str(checkpoint),
        *("--repository", str(repository), "--cache", str(cache), "--calibration-clips", "2", "--runs", "1"),
        *options,
    ]


def test_a_checkpoint_becomes_two_models_and_a_report(
    checkpoint: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    repository = tmp_path / "model repository"
    assert main(arguments(checkpoint, cache, repository, *LENIENT)) == 0
    files = sorted(str(path.relative_to(repository)) for path in repository.rglob("*") if path.is_file())
    assert files == [
        *(f"emotion_fp32/{file}" for file in ("1/model.onnx", "config.pbtxt", "labels.txt", "warmup/present")),
        *(f"emotion_int8/1/{file}" for file in ("export_report.json", "export_report.md", "model.onnx")),
        *(f"emotion_int8/{file}" for file in ("config.pbtxt", "labels.txt", "warmup/present")),
    ]
    output = capsys.readouterr().out
    assert "ONNX FP32 differs from torch by at most" in output
    assert "held-out clips: agreement" in output
    report = json.loads((repository / "emotion_int8" / "1" / "export_report.json").read_text())
    assert report["parity"] < 1e-4
    assert report["calibration_clips"] == 2
    assert report["timings"]["operations"] == pytest.approx(8.76e9, rel=0.05)
    for models in report["timings"]["models"].values():
        assert models["int8"]["peak_share"] > 0
        assert models["fp32"]["wall_ms"] > 0
    text = (repository / "emotion_int8" / "1" / "export_report.md").read_text()
    for heading in ("Closeness", "Speed", "Layers with the largest loss"):
        assert f"## {heading}" in text


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_recipes_are_compared_on_the_same_clips(
    checkpoint: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Each further recipe takes seconds; another scope shows how they are compared.
    monkeypatch.setattr(pipeline, "SCOPES", ("video", "all"))
    monkeypatch.setattr(pipeline, "CALIBRATIONS", ("minmax",))
    assert main(arguments(checkpoint, cache, tmp_path, "--compare", *LENIENT)) == 0
    folder = tmp_path / "emotion_int8" / "1"
    report, text = json.loads((folder / "export_report.json").read_text()), (folder / "export_report.md").read_text()
    assert "## Recipes compared, same clips" in text
    for row in ("| video (this one) | minmax | u8 |", "| all | minmax | u8 |"):
        assert text.count(row) == 1
    assert [item["recipe"]["scope"] for item in report["alternatives"]] == ["all"]
    # Other ranges make another network: no comparison is a copy of another.
    changes = [item["comparison"]["probability_change"] for item in (report, *report["alternatives"])]
    assert len(set(changes)) == len(changes)
    assert all(0 < change < 1 for change in changes)


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
    assert main(arguments(checkpoint, cache, repository, *options)) == 1
    assert list(repository.iterdir()) == []
    assert reason in capfd.readouterr().err


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:1_000_000])


def change_contract(path: Path) -> None:
    data = torch.load(path, weights_only=True)
    data["contract"]["contract_version"] = 99
    torch.save(data, path)


def lose_weights(path: Path) -> None:
    data = torch.load(path, weights_only=True)
    del data["weights"]["video.conv1.weight"]
    torch.save(data, path)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (cut, "bad_model_file: .*damaged"),
        (lambda path: path.write_bytes(b""), "bad_model_file: .*damaged"),
        (lambda path: path.unlink(), "bad_model_file: .*does not exist"),
        (change_contract, "contract_mismatch: .*contract_version is 99, this code has"),
        (lose_weights, "bad_model_file: .*weights do not fit"),
    ],
)
def test_a_checkpoint_that_cannot_be_used_is_one_sentence(
    *,
    checkpoint: Path,
    cache: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    spoil: Callable[[Path], None],
    reason: str,
) -> None:
    copy = Path(shutil.copy(checkpoint, tmp_path / "copy.pt"))
    spoil(copy)
    assert main(arguments(copy, cache, tmp_path / "repository")) == 1
    captured = capsys.readouterr()
    assert re.match(reason, captured.err)
    assert captured.out == ""
    assert not (tmp_path / "repository").exists()


def test_missing_prepared_data_is_one_sentence(
    checkpoint: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments(checkpoint, tmp_path / "nothing", tmp_path / "repository")) == 1
    assert "nothing" in capsys.readouterr().err
    assert not (tmp_path / "repository").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_disk_that_fills_up_while_exporting_is_one_sentence(checkpoint: Path, cache: Path, tmp_path: Path) -> None:
    # No file may become larger than 10 MB in this process: the ONNX file cannot be written whole.
    program = f"""
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000_000, resource.RLIM_INFINITY))
from export import pipeline
from export.__main__ import main
from export.onnx_model import export_onnx
sys.exit(main({arguments(checkpoint, cache, tmp_path / "repository")!r}))
"""
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    (line,) = [line for line in result.stderr.splitlines() if line]
    assert line.startswith("export_failed: Temporary files of the export cannot be written: [Errno 27]")
    assert not (tmp_path / "repository").exists()


def test_versions_are_listed_promoted_rolled_back_and_pruned(
    exported: Exported, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def call(*words: str) -> str:
        status = main([*words, "--repository", str(tmp_path)])
        captured = capsys.readouterr()
        return captured.out if status == 0 else captured.err

    for _ in range(3):
        install(tmp_path, {"emotion_int8": {"model.onnx": exported.int8}}, "face")
    assert call("list").split() == ["emotion_int8", "1", "older", "2", "older", "3", "served"]
    assert call("rollback", "emotion_int8") == "emotion_int8: version 2 is served.\n"
    assert call("promote", "emotion_int8", "1") == "emotion_int8: version 1 is served.\n"
    assert call("list").split() == ["emotion_int8", "1", "served", "2", "retired", "3", "retired"]
    assert call("prune", "emotion_int8", "--keep", "2") == "emotion_int8: deleted 2.\n"
    assert call("promote", "emotion_int8", "2").startswith("bad_repository: Model emotion_int8 has no version 2")
    assert call("rollback", "emotion").startswith("bad_repository: ")


def test_inspecting_prints_contract_origin_sizes_outputs_and_operators(
    exported: Exported, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["inspect", str(exported.int8)]) == 0
    output = capsys.readouterr().out
    for words in (
        "opset 18",
        f"version {CONTRACT_VERSION}, the same as this code's",
        "face",
        "probabilities FLOAT [batch, 8]",
        "34 Conv",
    ):
        assert words in output
    assert '"accuracy": 0.125' in output


def test_inspecting_something_else_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "notes.txt"
    file.write_text("no model")
    assert main(["inspect", str(file)]) == 1
    assert capsys.readouterr().err.startswith("bad_model_file: ")
