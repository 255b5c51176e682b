"""The command `emotion`, run in this process."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from avemotion.api.timeline import TimelineResponse
from avemotion.client.__main__ import main
from avemotion.client.drawing import draw_in_terminal, draw_png
from avemotion.preprocessing.contract import LABELS
from tests.support.triton import free_ports


@pytest.fixture
def path(tmp_path: Path, clip: bytes) -> str:
    file = tmp_path / "clip.mkv"
    file.write_bytes(clip)
    return str(file)


def test_predict_prints_every_label(address: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", path, "--address", address]) == 0
    printed = capsys.readouterr().out
    assert all(label in printed for label in LABELS)
    assert "mock" in printed


def test_predict_prints_json_that_can_be_read(address: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", path, path, "--json", "--address", address]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first["probs"] == second["probs"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"no media", "unsupported_media: "), (b"", "empty_media: ")],
)
def test_a_refusal_is_a_sentence_and_an_exit_status(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    (tmp_path / "bad").write_bytes(content)
    assert main(["predict", str(tmp_path / "bad"), "--address", address]) == 1
    found = capsys.readouterr()
    assert found.out == ""
    assert found.err.startswith(said)
    assert "request id: " in found.err


def test_no_file_and_no_gateway_are_sentences(tmp_path: Path, capsys: pytest.CaptureFixture[str], address: str) -> None:
    assert main(["predict", str(tmp_path / "nothing"), "--address", address]) == 1
    assert capsys.readouterr().err.endswith("nothing: No such file or directory\n")
    [port] = free_ports(1)
    assert main(["models", "--address", f"http://127.0.0.1:{port}"]) == 1
    assert capsys.readouterr().err.startswith("unreachable: ")


QUALITY = {"face_height": 0.4, "brightness": 0.5, "audio_level": -30.0, "clipping": 0.0, "padding": 0.0}


@pytest.fixture
def timeline() -> TimelineResponse:
    """A clip that turns from the first label to the last, and shows nobody in between."""
    rows: list[dict[str, Any]] = []
    for index in range(9):
        probs = [0.0] * len(LABELS)
        probs[0], probs[-1] = 100 - 12.5 * index, 12.5 * index
        top = 0 if probs[0] >= probs[-1] else len(LABELS) - 1
        top1 = {"label": LABELS[top], "prob": probs[top]}
        rows.append(
            {
                "start": index / 2,
                "end": index / 2 + 3,
                "probs": probs,
                "top1": top1,
                "uncertain": False,
                "modalities": {"video": True, "audio": True},
                "evidence": {"face": 0.99, "voice": 0.98},
                "face": {"left": 0.3, "top": 0.2, "width": 0.3, "height": 0.4},
                "faces": 1,
                "quality": QUALITY,
            }
        )
    rows[4] |= {"probs": None, "top1": None, "uncertain": True, "face": None, "faces": 0}
    return TimelineResponse.model_validate(
        {
            "labels": list(LABELS),
            "duration": 7.0,
            "step": 0.5,
            "window_seconds": 3.0,
            "rows": rows,
            "model": "mock",
            "model_version": "1",
            "request_id": "r1",
            "timings_ms": {"upload": 1.0, "queue": 1.0, "decode": 1.0, "inference": 1.0, "total": 4.0},
        }
    )


def test_a_timeline_is_drawn_in_the_terminal_with_every_label(timeline: TimelineResponse) -> None:
    drawn = draw_in_terminal(timeline, width=72, colour=False)
    assert all(label in drawn for label in LABELS)
    assert "\x1b" not in drawn
    assert max(len(line) for line in drawn.splitlines()) == 72


def test_a_timeline_is_drawn_as_png(timeline: TimelineResponse, tmp_path: Path) -> None:
    draw_png(timeline, tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").read_bytes().startswith(b"\x89PNG")


def test_a_timeline_without_anybody_is_drawn_empty(timeline: TimelineResponse, tmp_path: Path) -> None:
    rows = [row.model_copy(update={"probs": None, "top1": None}) for row in timeline.rows]
    empty = timeline.model_copy(update={"rows": rows})
    assert "expressed emotion" in draw_in_terminal(empty, width=72, colour=False)
    draw_png(empty, tmp_path / "timeline.png")
