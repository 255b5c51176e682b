"""The one command that people start: Triton and the gateway together, with the model that is in the repository."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator

import httpx
import psutil
import pytest

from gateway.environment import variable_of
from stack.__main__ import main
from tests.gateway.running import PATIENCE, wait_until
from tests.stack.running import START, Stack, free_addresses, predict, stack
from tests.support.clips import synthetic_clip
from tests.support.data import data_path
from tests.support.triton import free_ports, skip_without_triton

KEY = "a key"


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
        started.wait_for("Ready (")
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


@pytest.fixture(scope="module")
def without_triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, str]]:
    """A stack where Triton cannot run, whose option overrides its variable and that needs a key; and its address."""
    [port] = free_ports(1)
    nowhere = str(tmp_path_factory.mktemp("environments") / "no environment")
    key = hashlib.sha256(KEY.encode()).hexdigest()
    with stack("--port", str(port), EMO_TRITON_ENVIRONMENT=nowhere, EMO_API_KEYS=f"me:{key}") as started:
        started.wait_for("Ready (")
        yield started, f"http://127.0.0.1:{port}"
        assert started.interrupt() == 0


def test_where_triton_cannot_run_the_gateway_computes_itself_and_says_so(without_triton: tuple[Stack, str]) -> None:
    started, address = without_triton
    assert "Ready (emotion_int8)" in started.output
    assert "The gateway runs the model in its own process instead." in started.output
    assert predict(address, synthetic_clip(), authorization=f"Bearer {KEY}").status_code == 200


def test_options_override_variables_and_a_server_with_keys_becomes_ready(without_triton: tuple[Stack, str]) -> None:
    started, address = without_triton
    assert f"Ready (emotion_int8). Open {address} " in started.output
    assert predict(address, synthetic_clip()).status_code == 401


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., object]]:
    """Runs the command in this process if it ends before it serves; returns its exit status or its last words."""
    handler = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr("stack.__main__.configure_logging", lambda _: None)
    for name in filter(lambda name: name.startswith("EMO_"), list(os.environ)):
        monkeypatch.delenv(name)
    for name, value in free_addresses().items():
        monkeypatch.setenv(name, value)

    def run(*options: str) -> object:
        monkeypatch.setattr(sys, "argv", ["stack", *options])
        with pytest.raises(SystemExit) as exited:
            main()
        return exited.value.code

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.mark.parametrize("option", ["--port", "--triton-grpc-port"])
def test_the_message_of_a_port_in_use_names_an_option_that_chooses_another(
    ended: Callable[..., object], option: str
) -> None:
    if option != "--port":
        skip_without_triton()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        message = str(ended(option, port))
    assert message.startswith(f"Port {port} on 127.0.0.1 is already in use; choose another one with {option}")


def test_a_misspelt_variable_and_an_invalid_value_are_named() -> None:
    with stack(EMO_PORT="ninety", **{variable_of("triton_gprc_port"): "8001"}) as refused:
        assert refused.process.wait(START) == 1
    misspelt, invalid = refused.output.splitlines()
    assert misspelt.endswith("did you mean EMO_TRITON_GRPC_PORT?")
    assert invalid.startswith("Invalid value 'ninety' for --port (EMO_PORT): ")


def test_help_explains_the_options_of_gateway_and_triton(
    ended: Callable[..., object], capsys: pytest.CaptureFixture[str]
) -> None:
    assert ended("--help") == 0
    explained = capsys.readouterr().out
    assert explained.startswith("usage: python -m stack ")
    for option in ("--port", "--triton-grpc-port", "--triton-metrics-port", "--triton-environment"):
        assert f"\n  {option} " in explained


def test_logs_are_json_without_file_names(running: Stack) -> None:
    httpx.post(
        f"{running.address}/predict", files={"file": ("my secret holiday.wav", synthetic_clip())}, timeout=PATIENCE
    )
    wait_until(lambda: '"route": "/predict"' in running.output, "the request is logged")
    logged = [json.loads(line) for line in running.lines if line.startswith("{")]
    assert logged
    assert "secret" not in running.output
