"""`python -m gateway` as people start it: what it refuses, and how it ends."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil
import pytest

from avemotion.preprocessing.errors import EmotionError
from gateway.__main__ import listen, run
from gateway.settings import Settings
from tests.gateway.models import MODEL, other_contract, write_model
from tests.gateway.running import (
    PATIENCE,
    environment,
    gateway_process,
    refused_start,
    wait_ready,
    wait_until,
)
from tests.support.clips import synthetic_clip


def test_reason_not_to_start_is_one_sentence(tmp_path: Path) -> None:
    code, output = refused_start("--port", "0", "--predictor", "onnxruntime", "--model-repository", str(tmp_path))
    assert code == 1
    assert "Traceback" not in output
    last = output.rstrip().splitlines()[-1]
    assert "no model at" in last
    assert last.endswith(".")


def test_model_for_other_tensors_is_refused(tmp_path: Path) -> None:
    repository = write_model(tmp_path, parameters=other_contract())
    settings = Settings(predictor="onnxruntime", model=MODEL, model_repository=repository, decode_workers=1)
    with pytest.raises(EmotionError) as refusal, socket.create_server(("127.0.0.1", 0)) as listener:
        run(settings, listener)
    assert "another tensor contract" in refusal.value.message
    assert "sample_rate is 8000, this code has 16000" in refusal.value.message


def test_port_in_use_is_named_with_the_option_for_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"Port {port} .* in use; .* --port or EMO_PORT\.$"):
            listen(Settings(port=port))


def test_address_of_another_machine_is_named() -> None:
    with pytest.raises(SystemExit, match=r"Cannot listen on 192\.0\.2\.1:0: .* --host or EMO_HOST\.$"):
        listen(Settings(host="192.0.2.1", port=0))


def test_nothing_that_trains_is_imported() -> None:
    script = """
import sys
from gateway.app import create_app
from gateway.settings import Settings
for predictor in ("triton", "onnxruntime", "mock"):
    create_app(Settings(predictor=predictor))
import gateway.__main__
assert not {"torch", "librosa", "onnx", "training"} & set(sys.modules), sorted(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], env=environment(), check=True, timeout=60)


@dataclass(frozen=True)
class Life:
    """What a process with ONNX Runtime did from its start to SIGTERM.

    Attributes:
        answer: Of a clip named `holiday.webm`, with the request id `r1`; `r2` was text.
        log: Its standard error.
        code: Its exit code.
        descendants: Processes that it had.
    """

    answer: httpx.Response
    log: str
    code: int
    descendants: list[psutil.Process]


@pytest.fixture(scope="module")
def life(clip: bytes, model_repository: Path) -> Life:
    variables = {"EMO_PREDICTOR": "onnxruntime", "EMO_MODEL": MODEL, "EMO_MODEL_REPOSITORY": str(model_repository)}
    with gateway_process("--log-level", "debug", **variables) as running:
        client = running.client
        wait_ready(client)
        files = {"file": ("holiday.webm", clip)}
        answer = client.post("/predict?version=1", files=files, headers={"X-Request-ID": "r1"})
        client.post("/predict", files={"file": ("holiday.webm", b"dear diary")}, headers={"X-Request-ID": "r2"})
        client.post("/predict", files={"holiday": ("a", b"dear diary")})
        form = {"Content-Type": "multipart/form-data; boundary=x"}
        client.post("/predict", content=b"dear diary, this is no form", headers=form)
        descendants = psutil.Process(running.process.pid).children(recursive=True)
        running.process.send_signal(signal.SIGTERM)
        code = running.process.wait(PATIENCE)
    return Life(answer, running.log, code, descendants)


def test_answers_with_onnx_runtime(life: Life) -> None:
    answer = life.answer.raise_for_status().json()
    assert (answer["model"], answer["model_version"]) == (MODEL, "1")


def test_log_is_json_with_request_ids_and_without_names_and_content(life: Life) -> None:
    lines = [json.loads(line) for line in life.log.splitlines()]
    by_id = {line["request_id"]: line for line in lines if line.get("message") == "request"}
    assert (by_id["r1"]["route"], by_id["r1"]["status"]) == ("/predict", 200)
    assert by_id["r2"]["status"] == 422
    assert any(line.get("code") == "unsupported_media" and line["request_id"] == "r2" for line in lines)
    probabilities = [text for text in map(str, life.answer.json()["probs"]) if len(text) > 5]
    for private in ("holiday.webm", "version=1", "diary", *probabilities):
        assert private not in life.log


def test_sigterm_ends_it_with_all_its_processes(life: Life) -> None:
    assert life.code == 0
    assert len(life.descendants) >= 2
    wait_until(lambda: not any(child.is_running() for child in life.descendants), "its processes end")


def clips_being_decoded(client: httpx.Client) -> int:
    (line,) = re.findall(r"^emotion_decode_clips (\S+)$", client.get("/metrics").text, re.MULTILINE)
    return int(float(line))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_requests_in_flight_are_answered_after(number: signal.Signals) -> None:
    # Losslessly coded and large, so that it decodes for a while.
    clip = synthetic_clip(width=960, height=720, frame_times=range(0, 3000, 80), options={"g": "1"})
    with gateway_process(EMO_MOCK="1", EMO_DECODE_WORKERS="1") as running:
        client = running.client
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
        running.process.send_signal(number)
        for thread in threads:
            thread.join()
        assert running.process.wait(PATIENCE) == 0
    assert [answer.status_code for answer in answers] == [200] * 3


def test_gateway_that_drains_is_unready_and_takes_nothing_new_and_killed_leaves_no_process(clip: bytes) -> None:
    with gateway_process("--drain-delay", "60", EMO_MOCK="1") as running:
        process, client = running.process, running.client
        wait_ready(client)
        process.send_signal(signal.SIGTERM)
        wait_until(lambda: client.get("/health/ready").status_code == 503, "unready")
        refused = client.post("/predict", files={"file": ("clip", clip)})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "not_ready")
        assert client.get("/health").status_code == 200
        descendants = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        wait_until(lambda: not any(child.is_running() for child in descendants), "its processes end")
