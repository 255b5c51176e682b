"""A running Triton server follows a promotion and a rollback without failing a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tritonclient import grpc

from avemotion.preprocessing import contract
from export.repository import install, promote, prune, roll_back
from tests.support.standin_model import write_repository, write_standin
from tests.support.triton import STANDIN, serving
from tests.triton_server.client import Tensors, ask_onnxruntime, random_inputs, triton_inputs
from tests.triton_server.processes import wait_for
from tests.triton_server.stream import Answers, stream
from triton_server import process


@pytest.fixture(params=["poll", "explicit"])
def control(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How Triton learns of versions: it looks itself, as locally, or is told, as in production.

    Our launcher keeps the interface for the latter closed, and NVIDIA's image is too large to be at hand, so that the
    same Triton is started with it open here.
    """
    mode = str(request.param)
    if mode == "explicit":
        closed = process._flags

        def opened(*arguments: Any) -> list[str]:
            flags = [flag for flag in closed(*arguments) if "-restricted-" not in flag and "-control-mode" not in flag]
            return [*flags, "--model-control-mode=explicit", "--load-model=*"]

        monkeypatch.setattr(process, "_flags", opened)
    return mode


def test_promotion_and_rollback_fail_no_request(tmp_path: Path, control: str) -> None:
    repository = write_repository(tmp_path / "models", STANDIN)
    model, inputs = repository / STANDIN, random_inputs(1, seed=2)
    write_standin(tmp_path / "new.onnx", seed=7)
    first, second = (
        ask_onnxruntime(file, inputs)[contract.LOGITS.name]
        for file in (model / "1" / "model.onnx", tmp_path / "new.onnx")
    )
    with serving(repository, model_control_mode="poll") as server, stream(server, inputs) as answers:

        def tell() -> None:
            if control == "explicit":
                with grpc.InferenceServerClient(server.grpc_address) as client:
                    client.load_model(STANDIN)

        wait_for(lambda: answers.right, "requests are answered")

        def shows(version: int) -> None:
            wanted = {1: first, 2: second}[version]
            wait_for(lambda: answers.last_equals(wanted), f"version {version} answers")
            assert answered_by(server.grpc_address, inputs) == str(version)
            keep_asking(answers)

        assert install(repository, {STANDIN: {"model.onnx": tmp_path / "new.onnx"}}, "face") == [model / "2"]
        tell()
        shows(2)
        assert roll_back(model) == 1
        tell()
        shows(1)
        promote(model, 2)
        tell()
        shows(2)
        assert prune(model, keep=1) == [1]
        keep_asking(answers)
        assert server.restarts == 0
    assert not answers.failed, answers.messages
    assert answers.all_equal(first, second)


def answered_by(address: str, inputs: Tensors) -> str:
    """The version that answers."""
    with grpc.InferenceServerClient(address) as client:
        return str(client.infer(STANDIN, triton_inputs(inputs)).get_response().model_version)


def keep_asking(answers: Answers) -> None:
    """Until enough further requests were answered, for longer than Triton's polling takes."""
    before = answers.right
    wait_for(lambda: answers.right > before + 100, "more requests are answered")
