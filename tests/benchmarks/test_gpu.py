"""What is measured on a GPU, tried without one: the same code with the CPU's provider in place of CUDA's."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from avemotion.preprocessing.contract import INPUTS
from benchmarks import gpu
from benchmarks.models import committed_model, infer, make_models, session
from benchmarks.results import NotMeasurableError


@pytest.fixture(scope="module")
def fp32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_models(tmp_path_factory.mktemp("gpu") / "models").fp32


@pytest.mark.parametrize(
    ("program", "message"),
    [("exit 9", "there is no NVIDIA GPU"), ("echo 'A card, 81559 MiB, 1.2'", "is the package for the CPU")],
)
def test_a_machine_without_a_usable_card_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, message: str
) -> None:
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{program}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(NotMeasurableError, match=message):
        gpu.measure(1)


def test_the_fp32_model_is_the_committed_one_without_rounding(fp32: Path) -> None:
    inputs = gpu.drawn_inputs(6, seed=1)
    whole, rounded = (infer(session(path), inputs) for path in (fp32, committed_model()))
    assert (whole.argmax(axis=1) == rounded.argmax(axis=1)).all()
    assert (whole != rounded).any()


def test_fp16_answers_as_fp32_does_and_has_its_inputs_and_outputs(fp32: Path) -> None:
    whole, halved = gpu.open_session(fp32, gpu.CPU), gpu.open_session(gpu.half(fp32), gpu.CPU)
    for one, other in ((whole.get_inputs(), halved.get_inputs()), (whole.get_outputs(), halved.get_outputs())):
        assert [(value.name, value.type) for value in one] == [(value.name, value.type) for value in other]
    inputs = gpu.drawn_inputs(6, seed=5)
    expected, found = infer(whole, inputs), infer(halved, inputs)
    assert (expected != found).any()
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_sessions_are_timed_and_compared_with_the_reference(fp32: Path) -> None:
    sessions = {name: gpu.open_session(path, gpu.CPU) for name, path in (("FP32", fp32), ("INT8", committed_model()))}
    (exact, *exact_rates, exact_difference, exact_equal), (rounded, *rounded_rates, difference, _) = gpu.compare(
        sessions, fp32, (1, 2), 1
    )
    assert (exact, rounded) == ("FP32", "INT8")
    assert (np.array([exact_rates, rounded_rates], float) > 0).all()
    assert float(exact_difference) < 1e-5 < float(difference) < 0.5
    assert exact_equal == 100


@pytest.mark.filterwarnings("ignore:Specified provider")
def test_a_session_that_would_run_on_another_provider_is_refused() -> None:
    with pytest.raises(RuntimeError, match="CUDAExecutionProvider could not be loaded"):
        gpu.open_session(committed_model(), gpu.CUDA)


def test_answers_that_are_not_numbers_do_not_agree() -> None:
    expected = np.array([[0.9, 0.1], [0.2, 0.8]], np.float32)
    found = np.array([[0.9, 0.1], [np.nan, np.nan]], np.float32)
    assert gpu.agreement([found], [expected]) == (1.0, 50.0)


def test_random_clips_follow_the_contract_and_are_not_zeros() -> None:
    inputs = gpu.drawn_inputs(4, seed=0)
    for spec in INPUTS:
        assert (inputs[spec.name].dtype, inputs[spec.name].shape) == (np.dtype(spec.dtype), (4, *spec.shape))
        assert inputs[spec.name].std() > 0
    assert {tuple(row) for row in inputs["present"].tolist()} == {(True, True), (True, False), (False, True)}


def test_an_fp32_model_made_elsewhere_is_used_and_an_outdated_one_is_made_again(fp32: Path, tmp_path: Path) -> None:
    made = fp32.parents[3]
    carried = tmp_path / fp32.relative_to(made)
    carried.parent.mkdir(parents=True)
    carried.write_bytes(b"carried")
    (tmp_path / "made_of.txt").write_bytes((made / "made_of.txt").read_bytes())
    assert make_models(tmp_path).fp32.read_bytes() == b"carried"
    (tmp_path / "made_of.txt").write_text("another model")
    assert make_models(tmp_path).fp32.read_bytes() != b"carried"
