"""Figures are kept with their machine and command, and the page is written from them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks import __main__, decode, gpu, results
from benchmarks.results import NotMeasurableError, save, section, table, write_page
from tests.support.clips import synthetic_clip


def test_figures_are_kept_rounded_with_machine_and_command(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "performance.json"
    save(path, "overhead", section("Old", "", table(["x"], [[1.0]])), "old command")
    save(path, "memory", section("Memory", "", table(["x"], [[2.0]])), "another command")
    save(path, "overhead", section("New", "", table(["x"], [[1.23456, None, "text", 7, float("inf")]])), "new command")
    kept = json.loads(path.read_text())
    assert list(kept) == ["overhead", "memory"]
    assert kept["overhead"]["tables"][0]["rows"] == [[1.235, None, "text", 7, None]]
    assert kept["overhead"]["command"] == "new command"
    assert kept["overhead"]["machine"]["processor"] == results.describe()["processor"]


def test_the_page_shows_text_command_and_tables_with_three_digits(tmp_path: Path) -> None:
    shown = table(["clip", "ms"], [["recording", 4.6189], ["original", 327.4], ["none", None]])
    hidden = table(["detail"], [[1.0]], on_page=False)
    page = save(tmp_path / "performance.json", "overhead", section("Title", "Text.", shown, hidden), "the command")
    text = page.read_text()
    assert "## Title\n\nText. `the command`, 20" in text
    assert "| clip | ms |\n| --- | --- |\n| recording | 4.62 |\n| original | 327 |\n| none | – |\n" in text
    assert "detail" not in text


def test_the_committed_page_is_written_from_the_committed_figures_and_fits(tmp_path: Path) -> None:
    copy = tmp_path / "performance.json"
    copy.write_bytes(results.PUBLISHED.read_bytes())
    text = write_page(copy).read_text()
    assert results.PUBLISHED.with_name("PERFORMANCE.md").read_text() == text
    assert len(text.splitlines()) <= 100


def test_what_cannot_be_measured_is_skipped_and_what_was_measured_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(_: int) -> None:
        raise NotMeasurableError("there is no card")

    monkeypatch.setattr(gpu, "measure", fail)
    monkeypatch.setattr(results, "TRIAL", tmp_path / "performance.json")
    save(results.TRIAL, "gpu", section("GPU", ""), "command")
    before = results.TRIAL.read_bytes()
    assert __main__.main(["gpu", "--effort", "trial"]) == 0
    assert "skipped gpu: there is no card" in capsys.readouterr().out
    assert results.TRIAL.read_bytes() == before


def test_the_bare_codec_decodes_every_frame_of_both_tracks() -> None:
    clip = synthetic_clip(frame_times=range(0, 3000, 100))
    assert decode.decode_all(clip) == 30 + -(-3 * 48_000 // 1024)
    assert decode.demux(clip) >= 30
