"""The command that containers are probed by: its status says whether an inference was answered."""

from __future__ import annotations

import subprocess
import sys

from tests.support.triton import STANDIN, free_ports
from triton_server.launcher import TritonServer


def probe(model: str, port: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "triton_server.probe", model, "--port", str(port)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_an_answered_inference_is_success(standin_triton: TritonServer) -> None:
    done = probe(STANDIN, standin_triton.options.http_port)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_model_that_is_not_there_is_failure_in_one_sentence(standin_triton: TritonServer) -> None:
    done = probe("nothing", standin_triton.options.http_port)
    assert done.returncode == 1
    assert "'nothing'" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_server_that_is_away_is_failure_in_one_sentence() -> None:
    done = probe("emotion_int8", free_ports(1)[0])
    assert done.returncode == 1
    assert "did not answer" in done.stderr
    assert len(done.stderr.splitlines()) == 1
