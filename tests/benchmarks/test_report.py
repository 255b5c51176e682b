"""The document is written from figures, and says what was not measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import report, results
from benchmarks.machine import describe


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(results, "FOLDER", tmp_path / "runs")
    return tmp_path


def _summary(per_second: float, latency: float) -> dict[str, float]:
    return {
        "answers": 1, "refused": 0, "per_second": per_second, "p50_ms": latency, "p95_ms": latency,
        "p99_ms": latency, "server_cpu_ms": latency, "client_cpu_ms": 1.0,
    }  # fmt: skip


def _kinds(per_second: float, latency: float) -> dict[str, object]:
    summary = _summary(per_second, latency)
    return {"alone": summary, "saturated": summary, "rounds": {"alone": [summary], "saturated": [summary]}}


def test_without_figures_the_document_says_so_and_names_the_command(folder: Path) -> None:
    text = report.write(folder / "PERFORMANCE.md").read_text()
    assert text.count("Not measured yet") == 7
    assert "python -m benchmarks peers" in text
    assert "On a GPU" in text


def test_ratios_and_aims_follow_from_the_figures(folder: Path) -> None:
    figures = {
        "this project": {"recording": _kinds(20, 50), "original": _kinds(9, 100), "sampled": _kinds(40, 30)},
        "plain": {"recording": _kinds(5, 200), "original": _kinds(3, 400)},
    }
    results.save("peers", {"figures": figures, "idle_cpu": {"plain": 0.01}, "clients": 8, "answers": {}}, "command")
    text = report.write(folder / "PERFORMANCE.md").read_text()
    assert "| recording | × plain | 4 | 4 |" in text
    assert "| sampled, against the recording | × plain | 8 | 6.67 |" in text
    assert "| recording: throughput ≥ 3 × plain | 4 | reached |" in text
    assert "| sampled: throughput ≥ 9 × plain | 8 | **missed** |" in text
    assert "_`command`" in text


def test_figures_are_kept_with_the_machine_and_the_command(folder: Path) -> None:
    results.save("stages", {"x": 1.5}, "python -m benchmarks stages")
    kept = json.loads((folder / "runs" / "stages.json").read_text())
    assert kept["figures"] == {"x": 1.5}
    assert kept["machine"]["processor"] == describe()["processor"]
    assert results.load("peers") is None
