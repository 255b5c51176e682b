"""The one command that people start: Triton and the gateway together, with the model that is in the repository."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
import pytest

from tests.gateway.running import PATIENCE, environment, wait_until
from tests.support.clips import draw
from tests.support.data import data_path
from tests.support.triton import free_ports, skip_without_triton

START = 90.0
"""Seconds that Triton, the workers and a first prediction may take on a busy machine."""


@dataclass
class Stack:
    """A running `python -m stack`."""

    process: subprocess.Popen[str]
    address: str
    lines: list[str] = field(default_factory=list)

    @property
    def output(self) -> str:
        return "".join(self.lines)

    def wait_for(self, text: str) -> None:
        deadline = time.monotonic() + START
        while text not in self.output and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        assert text in self.output, self.output

    def interrupt(self) -> int:
        """What Ctrl-C does: SIGINT to every process of the terminal's foreground group."""
        os.killpg(self.process.pid, signal.SIGINT)
        return self.process.wait(PATIENCE)


@contextmanager
def stack(**variables: str) -> Iterator[Stack]:
    port, grpc, metrics, http = free_ports(4)
    ports = {
        "EMO_PORT": str(port),
        "EMO_TRITON_GRPC_PORT": str(grpc),
        "EMO_TRITON_METRICS_PORT": str(metrics),
        "EMO_TRITON_HTTP_PORT": str(http),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "stack"],
        env=environment(**(ports | variables)),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    running = Stack(process, f"http://127.0.0.1:{(ports | variables)['EMO_PORT']}")
    reader = threading.Thread(target=lambda: running.lines.extend(process.stdout or ()))
    reader.start()
    try:
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        reader.join(PATIENCE)
        assert process.stdout is not None
        process.stdout.close()


def predict(address: str, clip: bytes) -> httpx.Response:
    return httpx.post(f"{address}/predict", files={"file": ("clip", clip)}, timeout=PATIENCE)


@pytest.fixture(scope="module")
def running() -> Iterator[Stack]:
    skip_without_triton()
    with stack() as started:
        started.wait_for("A prediction works (emotion_int8)")
        yield started


@pytest.mark.parametrize("emotion", ["disgust", "neutral"])
@pytest.mark.parametrize("codec", ["avc1.mp4", "vp8.webm", "vp9.webm"])
def test_browser_recordings_are_answered_by_triton_with_a_face(running: Stack, emotion: str, codec: str) -> None:
    answer = predict(running.address, data_path(f"clips/chrome_a01_{emotion}_{codec}").read_bytes())
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["model"] == "emotion_int8"
    assert body["face"] is not None
    assert body["modalities"] == {"video": True, "audio": True}
    assert sum(body["probs"]) == pytest.approx(100, abs=0.1)


@pytest.mark.parametrize(
    ("name", "missing"),
    [
        ("clips/no_duration.webm", {"audio": "The audio track is silent."}),
        ("clips/var_fps_video.mp4", {"audio": "The file has no audio track."}),
        ("clips/woman2.mp4", {"audio": "The file has no audio track."}),
        ("ravdess_speech/Actor_01/03-01-05-01-01-01-01.flac", {"video": "The file has no video track."}),
    ],
)
def test_recordings_without_sound_or_video_say_what_is_missing(
    running: Stack, name: str, missing: dict[str, str]
) -> None:
    answer = predict(running.address, data_path(name).read_bytes())
    assert answer.status_code == 200, answer.text
    assert answer.json()["missing"] == missing


def test_ctrl_c_ends_everything_quietly() -> None:
    skip_without_triton()
    with stack() as started:
        started.wait_for("A prediction works")
        family = psutil.Process(started.process.pid).children(recursive=True)
        assert any("tritonserver" in child.name() for child in family)
        assert started.interrupt() == 0
        _, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert alive == []
    assert "Traceback" not in started.output


def test_ctrl_c_during_start_ends_everything_quietly() -> None:
    skip_without_triton()
    with stack() as started:
        wait_until(lambda: bool(psutil.Process(started.process.pid).children(recursive=True)), "Triton is starting")
        family = psutil.Process(started.process.pid).children(recursive=True)
        assert started.interrupt() == 0
        _, alive = psutil.wait_procs(family, timeout=PATIENCE)
        assert alive == []
    assert "Traceback" not in started.output


def test_where_triton_cannot_run_the_gateway_computes_itself_and_says_so(tmp_path: Path) -> None:
    with stack(EMO_TRITON_ENVIRONMENT=str(tmp_path / "no environment")) as started:
        started.wait_for("A prediction works (emotion_int8)")
        assert "The gateway computes in its own process instead." in started.output
        assert predict(started.address, draw()).status_code == 200
        assert started.interrupt() == 0


@pytest.mark.parametrize("variable", ["EMO_PORT", "EMO_TRITON_GRPC_PORT"])
def test_a_port_in_use_is_one_clear_sentence(variable: str) -> None:
    if variable != "EMO_PORT":
        skip_without_triton()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        with stack(**{variable: port}) as refused:
            assert refused.process.wait(START) == 1
    assert f"Port {port} on 127.0.0.1 is" in refused.output
    assert variable in refused.output
    assert "Traceback" not in refused.output


def test_a_setting_that_cannot_be_used_is_named() -> None:
    with stack(EMO_PORT="ninety") as refused:
        assert refused.process.wait(START) == 1
    assert refused.output.startswith("The settings cannot be used: port:")


def test_logs_are_json_without_file_names(running: Stack) -> None:
    httpx.post(f"{running.address}/predict", files={"file": ("my secret holiday.wav", draw())}, timeout=PATIENCE)
    wait_until(lambda: '"route": "/predict"' in running.output, "the request is logged")
    logged = [json.loads(line) for line in running.lines if line.startswith("{")]
    assert logged
    assert "secret" not in running.output
