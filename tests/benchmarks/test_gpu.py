"""What is measured on a GPU, tried without one: the same code with the CPU's provider in place of CUDA's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from avemotion.preprocessing.contract import INPUTS
from benchmarks import __main__, gpu, gpu_report, report, results
from benchmarks.models import committed_model, fp32_model, make_models


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("gpu") / "models").fp32


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "runs")
    monkeypatch.setattr(report, "PATH", tmp_path / "PERFORMANCE.md")
    return tmp_path / "runs" / "gpu.json"


def _sample() -> dict[str, Any]:
    names = ("FP32", "INT8, CPU")
    runs = {
        "FP32": {"1": {"host_ms": 2.0, "bound_ms": 1.5}, "64": {"host_ms": 16.0, "bound_ms": 12.0}},
        "INT8, CPU": {"1": {"host_ms": 8.0, "bound_ms": None}, "64": {"host_ms": 320.0, "bound_ms": None}},
    }
    return {
        "card": {"name": "A card", "driver": "1.2", "memory": "80 GiB"},
        "onnxruntime": "1.31.1",
        "cuda": "13.0",
        "algorithm_search": "EXHAUSTIVE",
        "cores": 16,
        "rounds": 30,
        "clips": 381,
        "agreement": {name: {"difference": 1e-5, "equal": 1.0} for name in names},
        "nodes": {
            "FP32": {gpu.CUDA: 60, gpu.CPU: 4, "copies": 2},
            "INT8, CPU": {gpu.CPU: 69},
        },
        "memory_mb": {"FP32": 900.0, "INT8, CPU": None},
        "runs": runs,
        "missing": {"TensorRT": "its libraries were absent"},
    }


def test_the_tables_follow_from_the_figures(kept: Path, tmp_path: Path) -> None:
    results.save("gpu", _sample(), "command")
    text = report.write(tmp_path / "PERFORMANCE.md").read_text()
    assert kept.is_file()
    assert "| FP32 | 500 | 4000 |" in text
    assert "| INT8, CPU | 125 | 200 |" in text
    assert "| FP32 | 1.5 | 12 |" in text
    assert "| FP32 | 1.0e-05 | 100 | 64 | 4 | 2 | 900 |" in text
    assert "| INT8, CPU | 1.0e-05 | 100 | 69 | 69 | 0 | – |" in text
    assert "TensorRT was not measured: its libraries were absent." in text
    assert gpu_report.NOT_MEASURED not in text
    assert "_`command`" in text


def test_without_a_gpu_the_piece_is_skipped_and_what_was_measured_stays(
    kept: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    results.save("gpu", _sample(), "command")
    before = kept.read_bytes()
    assert __main__.main(["gpu", "--effort", "trial"]) == 0
    assert "gpu is skipped: there is no NVIDIA GPU here" in capsys.readouterr().out
    assert kept.read_bytes() == before
    assert not (tmp_path / "PERFORMANCE.md").exists()


def test_a_card_that_onnx_runtime_cannot_use_is_skipped_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA A card, 1.2, 81559 MiB'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(results.NotMeasurableError, match="onnxruntime"):
        gpu.measure(1, (1,))


def test_fp16_answers_as_fp32_does_and_has_its_inputs_and_outputs(fp32: Path) -> None:
    whole = gpu.open_session(gpu.Variant("FP32", fp32, gpu.CPU))
    halved = gpu.open_session(gpu.Variant("FP16", gpu.half(fp32), gpu.CPU))
    for one, other in ((whole.get_inputs(), halved.get_inputs()), (whole.get_outputs(), halved.get_outputs())):
        assert [(value.name, value.type) for value in one] == [(value.name, value.type) for value in other]
    inputs = gpu.random_inputs(6, seed=5)
    expected, found = (session.run(["probabilities"], inputs)[0] for session in (whole, halved))
    assert (expected != found).any()
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_variants_are_timed_compared_and_placed_and_one_that_fails_is_missing(fp32: Path) -> None:
    variants = [
        gpu.Variant("FP32", fp32, gpu.CPU),
        gpu.Variant("INT8", committed_model(), gpu.CPU),
        gpu.Variant("broken", b"no model", gpu.CPU),
    ]
    figures = gpu.compare(variants, fp32, (1, 2), 1, device="cpu")
    assert list(figures["missing"]) == ["broken"]
    assert list(figures["runs"]) == ["FP32", "INT8"]
    for runs in figures["runs"].values():
        assert all(row["host_ms"] > 0 and row["bound_ms"] > 0 for row in runs.values())
        assert list(runs) == ["1", "2"]
    assert figures["agreement"]["FP32"] == {"difference": 0.0, "equal": 1.0}
    assert 0 < figures["agreement"]["INT8"]["difference"] < 0.5
    assert figures["nodes"]["FP32"][gpu.CPU] > 50
    assert figures["clips"] == 9


def test_answers_that_are_not_numbers_do_not_agree() -> None:
    expected = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    found = np.array([[0.9, 0.1], [np.nan, np.nan]], np.float32)
    assert gpu.agreement([found], [expected]) == {"difference": 1.0, "equal": 0.5}


def test_random_clips_follow_the_contract_and_are_not_zeros() -> None:
    inputs = gpu.random_inputs(4, seed=0)
    for spec in INPUTS:
        assert (inputs[spec.name].dtype, inputs[spec.name].shape) == (np.dtype(spec.dtype), (4, *spec.shape))
        assert inputs[spec.name].std() > 0
    assert {tuple(row) for row in inputs["present"].tolist()} == {(True, True), (True, False), (False, True)}


def test_an_fp32_model_made_elsewhere_is_taken_and_an_outdated_one_is_not(fp32: Path, tmp_path: Path) -> None:
    made = fp32.parents[3]
    carried = tmp_path / fp32.relative_to(made)
    carried.parent.mkdir(parents=True)
    carried.write_bytes(b"carried")
    (tmp_path / "made_of.txt").write_bytes((made / "made_of.txt").read_bytes())
    assert fp32_model(tmp_path).read_bytes() == b"carried"
    (tmp_path / "made_of.txt").write_text("another model")
    assert fp32_model(tmp_path).read_bytes() != b"carried"
