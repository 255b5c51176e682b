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
    assert text.count("Not measured yet") == 8
    assert "python -m benchmarks peers" in text
    assert "On a GPU" in text


def test_ratios_and_aims_follow_from_the_figures(folder: Path) -> None:
    figures = {
        "this project": {"recording": _kinds(20, 50), "original": _kinds(9, 100), "sampled": _kinds(40, 30)},
        "plain": {"recording": _kinds(5, 200), "original": _kinds(3, 400)},
    }
    floor = {"recording": {"per_second": 25.0, "cpu_ms": 80.0, "rounds": {"saturated": [{"per_second": 25.0}]}}}
    found = {"figures": figures, "floors": {"floor": floor}, "idle_cpu": {"plain": 0.01}, "clients": 8, "answers": {}}
    results.save("peers", found, "command")
    text = report.write(folder / "PERFORMANCE.md").read_text()
    assert "| recording | this project × plain | 4 | 4 |" in text
    assert "| recording | floor × plain | 5 | – |" in text
    assert "| sampled, against the recording | this project × plain | 8 | 6.67 |" in text
    assert "| recording | this project × floor | 0.8 | – |" in text
    assert "| recording: throughput ≥ 3 × plain | 4 | reached |" in text
    assert "| sampled: throughput ≥ 9 × plain | 8 | **missed** |" in text
    assert "_`command`" in text


def test_ratios_are_those_of_rounds_in_which_the_machine_was_the_same(folder: Path) -> None:
    rates = {"this project": (8.0, 40.0, 16.0), "plain": (2.0, 10.0, 3.0)}
    rows = {name: [_summary(rate, 100 / rate) for rate in of_rounds] for name, of_rounds in rates.items()}
    figures = {
        name: {"recording": _kinds(1, 1) | {"rounds": {"alone": row, "saturated": row}}, "original": _kinds(9, 100)}
        for name, row in rows.items()
    }
    results.save("peers", {"figures": figures, "floors": {}, "idle_cpu": {}, "clients": 8, "answers": {}}, "command")
    text = report.write(folder / "PERFORMANCE.md").read_text()
    assert "| recording | this project × plain | 4 | 4 |" in text


@pytest.mark.parametrize(
    ("overhead", "rate", "words"),
    [
        (6.0, 18.0, ["6.00 ms, **missed**.", "4.70 ms", "allow: 0.834, **missed**."]),
        (4.9, 19.0, ["4.90 ms, reached.", "3.84 ms", "allow: 0.857, reached."]),
    ],
)
def test_what_the_gateway_adds_is_judged_as_it_is_and_told_for_the_machine_of_the_aim(
    folder: Path, overhead: float, rate: float, words: list[str]
) -> None:
    stages = ("overhead", "upload", "queue", "decode", "inference", "total", "waited")
    found = {stage: {"p50": overhead, "p95": 9.0} for stage in stages}
    floors = {
        name: {"recording": {"per_second": rate, "cpu_ms": 9.0, "rounds": {"saturated": [{"per_second": rate}] * 2}}}
        for name, rate in {"stages": 22.0, "floor": 25.0}.items()
    }
    rates = [_summary(one, 9.0) for one in (18.7, rate)]
    mine = _kinds(20, 50) | {"rounds": {"alone": rates, "saturated": rates}}
    saturated = {"figures": {"this project": {"recording": mine}}, "floors": floors}
    figures = {"clips": {"recording": found}, "bare_decode": 120.0, "requests": 100, "saturated": saturated}
    results.save("overhead", figures, "command")
    text = report.write(folder / "PERFORMANCE.md").read_text()
    for word in words:
        assert word in text


def test_figures_are_kept_with_the_machine_and_the_command(folder: Path) -> None:
    results.save("stages", {"x": 1.5}, "python -m benchmarks stages")
    kept = json.loads((folder / "runs" / "stages.json").read_text())
    assert kept["figures"] == {"x": 1.5}
    assert kept["machine"]["processor"] == describe()["processor"]
    assert results.load("peers") is None
