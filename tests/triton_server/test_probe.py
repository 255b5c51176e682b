"""Is a model answering? By the command that containers are probed by, and by the launcher's watch."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import cast

import pytest

from tests.support.triton import STANDIN, free_ports
from triton_server.errors import ProbeError
from triton_server.launcher import TritonServer
from triton_server.probe import ModelProbe, ModelWatch


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


class _Failing:
    """A model that fails as long as it is told to."""

    fails = True

    def successes(self) -> int:
        if self.fails:
            raise ProbeError("no answer")
        return 0

    def infer(self) -> None:
        pass


def test_one_failure_long_after_the_last_success_is_no_hang_but_lasting_failure_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 0.0
    monkeypatch.setattr("triton_server.probe.time", SimpleNamespace(monotonic=lambda: now))
    model = _Failing()
    watch = ModelWatch(cast("ModelProbe", model))
    now = 1000.0  # the machine slept
    assert watch.check(6.0) is None
    model.fails = False
    assert watch.check(6.0) is None
    model.fails = True
    found: dict[float, str | None] = {}
    for now in (1001.0, 1004.0, 1007.0, 1008.0):
        found[now] = watch.check(6.0)
    assert found == {1001.0: None, 1004.0: None, 1007.0: "no answer", 1008.0: "no answer"}
