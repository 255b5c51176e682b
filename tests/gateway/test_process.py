"""`python -m gateway` as people start it: what it refuses, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import httpx
import psutil
import pytest

from tests.gateway.models import MODEL, other_contract, write_model
from tests.gateway.running import environment, gateway_process, refused_start, wait_ready, wait_until
from tests.support.clips import synthetic_clip
from tests.support.triton import free_ports


def assert_one_sentence(output: str, *words: str) -> None:
    last = output.rstrip().splitlines()[-1]
    assert "Traceback" not in output
    assert last.endswith(".")
    for word in words:
        assert word in last


def test_answers_in_mock_mode(clip: bytes) -> None:
    with gateway_process(EMO_MOCK="1") as (_, client):
        wait_ready(client)
        answer = client.post("/predict", files={"file": ("clip.webm", clip)}).raise_for_status().json()
        assert answer["model"] == "mock"


def test_answers_with_onnx_runtime(clip: bytes, model_repository: Path) -> None:
    variables = {"EMO_PREDICTOR": "onnxruntime", "EMO_MODEL": MODEL, "EMO_MODEL_REPOSITORY": str(model_repository)}
    with gateway_process(**variables) as (_, client):
        wait_ready(client)
        answer = client.post("/predict", files={"file": ("clip.webm", clip)}).raise_for_status().json()
        assert (answer["model"], answer["model_version"]) == (MODEL, "1")


def test_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, output = refused_start("--port", str(port), EMO_MOCK="1")
    assert code == 1
    assert_one_sentence(output, f"Port {port}", "in use", "--port", "EMO_PORT")


def test_address_of_another_machine_is_one_sentence() -> None:
    code, output = refused_start("--host", "192.0.2.1", "--port", "0", EMO_MOCK="1")
    assert code == 1
    assert_one_sentence(output, "Cannot listen on 192.0.2.1")


def test_wrong_setting_is_one_sentence() -> None:
    code, output = refused_start("--port", "0", EMO_DECODE_WORKERS="none")
    assert code == 1
    assert_one_sentence(output, "--decode-workers (EMO_DECODE_WORKERS)", "integer")


def test_model_for_other_tensors_is_one_sentence(tmp_path: Path) -> None:
    repository = write_model(tmp_path, parameters=other_contract())
    arguments = ["--port", "0", "--predictor", "onnxruntime", "--model", MODEL, "--model-repository", str(repository)]
    code, output = refused_start(*arguments)
    assert code == 1
    assert_one_sentence(output, "another tensor contract", "sample_rate is 8000, this code has 16000")


def test_missing_model_is_one_sentence(tmp_path: Path) -> None:
    code, output = refused_start("--port", "0", "--predictor", "onnxruntime", "--model-repository", str(tmp_path))
    assert code == 1
    assert_one_sentence(output, "no model at")


@pytest.mark.parametrize("predictor", ["triton", "onnxruntime", "mock"])
def test_torch_is_never_imported(predictor: str) -> None:
    script = f"""
import sys
from gateway.app import create_app
from gateway.settings import Settings
create_app(Settings(predictor={predictor!r}))
import gateway.__main__
assert not {{"torch", "librosa", "onnx", "training"}} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], env=environment(), check=True, timeout=60)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_ends_at_a_signal_and_leaves_no_process(number: signal.Signals) -> None:
    with gateway_process(EMO_MOCK="1") as (process, client):
        wait_ready(client)
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert len(descendants) >= 2
        process.send_signal(number)
        assert process.wait(20) == 0
        wait_until(lambda: not any(child.is_running() for child in descendants), "its processes end")


def test_killed_gateway_leaves_no_process() -> None:
    with gateway_process(EMO_MOCK="1") as (process, client):
        wait_ready(client)
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        process.wait(20)
        wait_until(lambda: not any(child.is_running() for child in descendants), "its processes end")


def clips_being_decoded(client: httpx.Client) -> int:
    (line,) = re.findall(r"^emotion_decode_clips (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return int(float(line))


def test_request_in_flight_is_answered_after_sigterm() -> None:
    # Losslessly coded and large, so that it decodes for a while.
    clip = synthetic_clip(width=1280, height=720, options={"g": "1"})
    with gateway_process(EMO_MOCK="1", EMO_DECODE_WORKERS="1") as (process, client):
        wait_ready(client)
        answers: list[httpx.Response] = []
        threads = [
            threading.Thread(target=lambda: answers.append(client.post("/predict", files={"file": ("clip", clip)})))
            for _ in range(3)
        ]
        for thread in threads:
            thread.start()
        # All are there, and one worker has still to decode most of them.
        wait_until(lambda: len(answers) + clips_being_decoded(client) == len(threads), "all requests are taken")
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
        assert process.wait(20) == 0
    assert [answer.status_code for answer in answers] == [200] * 3


def test_gateway_that_drains_is_unready_and_takes_nothing_new(clip: bytes) -> None:
    with gateway_process("--drain-delay", "20", EMO_MOCK="1") as (process, client):
        wait_ready(client)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503, "unready")
        refused = client.post("/predict", files={"file": ("clip", clip)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert client.get("/health").status_code == 200


def test_log_is_json_with_request_ids_and_without_names_and_content(clip: bytes) -> None:
    [port] = free_ports(1)
    command = [sys.executable, "-m", "gateway", "--port", str(port), "--mock", "--log-level", "debug"]
    with subprocess.Popen(command, env=environment(), stderr=subprocess.PIPE, text=True) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:

            def answered() -> bool:
                try:
                    return client.get("/health/ready").status_code == 200
                except httpx.TransportError:
                    return False

            wait_until(answered, "ready")
            files = {"file": ("holiday.webm", clip)}
            answer = client.post("/predict?who=somebody", files=files, headers={"X-Request-ID": "r1"}).json()
            client.post("/predict", files={"file": ("holiday.webm", b"dear diary")}, headers={"X-Request-ID": "r2"})
            client.post("/predict", files={"holiday": ("a", b"dear diary")})
            form = {"Content-Type": "multipart/form-data; boundary=x"}
            client.post("/predict", content=b"dear diary, this is no form", headers=form)
        process.send_signal(signal.SIGTERM)
        _, output = process.communicate(timeout=20)
    lines = [json.loads(line) for line in output.splitlines()]
    by_id = {line["request_id"]: line for line in lines if line.get("message") == "request"}
    assert (by_id["r1"]["route"], by_id["r1"]["status"]) == ("/predict", 200)
    assert by_id["r2"]["status"] == 422
    assert any(line.get("code") == "unsupported_media" and line["request_id"] == "r2" for line in lines)
    for private in (
        "holiday.webm",
        "somebody",
        "diary",
        *(text for text in map(str, answer["probs"]) if len(text) > 5),
    ):
        assert private not in output
