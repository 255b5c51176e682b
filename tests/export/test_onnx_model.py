"""The exported file computes the outputs of the network and carries its metadata."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from avemotion.preprocessing import contract
from export.errors import ParityError
from export.parity import check_parity, open_session, random_inputs, run
from tests.export.conftest import Exported


def test_fp32_equals_torch_at_other_batch_sizes_and_with_each_modality_missing(exported: Exported) -> None:
    # One size below that of the trace, and one above.
    assert check_parity(exported.checkpoint.serving_network(), exported.fp32, batch_sizes=(1, 4)) < 1e-4


def test_a_model_that_computes_something_else_is_refused_naming_output_and_limit(
    exported: Exported, tmp_path: Path
) -> None:
    model = onnx.load(exported.fp32)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name.endswith("video_classifier.bias"))
    weight.CopyFrom(
        onnx.numpy_helper.from_array(
            onnx.numpy_helper.to_array(weight) + np.linspace(0, 1, 8, dtype=np.float32), weight.name
        )
    )
    broken = tmp_path / "broken.onnx"
    onnx.save(model, broken)
    with pytest.raises(ParityError, match=r"broken\.onnx differs .* in \w+ at batch 1 .* the limit is 1e-04"):
        check_parity(exported.checkpoint.serving_network(), broken)


def test_inputs_and_outputs_are_the_contracts_with_a_free_batch_dimension(exported: Exported) -> None:
    session = open_session(exported.fp32)
    assert [(i.name, i.shape[1:]) for i in session.get_inputs()] == [(s.name, list(s.shape)) for s in contract.INPUTS]
    assert [(o.name, o.shape[1:]) for o in session.get_outputs()] == [(s.name, list(s.shape)) for s in contract.OUTPUTS]
    assert all(isinstance(i.shape[0], str) for i in session.get_inputs())


def test_probabilities_and_attention_sum_to_one(exported: Exported) -> None:
    outputs = run(open_session(exported.fp32), random_inputs(2, (True, True), seed=9))
    for spec in contract.OUTPUTS:
        if spec not in {contract.LOGITS, contract.EVIDENCE}:
            np.testing.assert_allclose(outputs[spec.name].sum(axis=1), 1, atol=1e-5)


def test_what_a_missing_modality_holds_changes_nothing(exported: Exported) -> None:
    session = open_session(exported.fp32)
    first, other = random_inputs(2, (False, True), seed=1), random_inputs(2, (False, True), seed=2)
    other[contract.LOG_MEL.name] = first[contract.LOG_MEL.name]
    found, expected = run(session, other), run(session, first)
    for spec in contract.OUTPUTS:
        np.testing.assert_allclose(found[spec.name], expected[spec.name], atol=1e-6)


@pytest.mark.parametrize("file", ["fp32", "int8"])
@pytest.mark.parametrize(
    ("present", "alone"), [((True, False), contract.VIDEO_PROBABILITIES), ((False, True), contract.AUDIO_PROBABILITIES)]
)
def test_one_modality_alone_is_answered_by_its_own_branch(
    exported: Exported, file: str, present: tuple[bool, bool], alone: contract.TensorSpec
) -> None:
    outputs = run(open_session(getattr(exported, file)), random_inputs(3, present, seed=4))
    np.testing.assert_array_equal(outputs[contract.PROBABILITIES.name], outputs[alone.name])


@pytest.mark.parametrize("file", ["fp32", "int8"])
def test_metadata_carries_contract_crop_and_metrics(exported: Exported, file: str) -> None:
    found = open_session(getattr(exported, file)).get_modelmeta().custom_metadata_map
    contract.check_parameters(json.loads(found["contract"]), source="the ONNX file")
    assert found["crop"] == "face"
    assert json.loads(found["metrics"]) == {"accuracy": 0.125}
    assert json.loads(found["temperatures"])["fused"] == 1.5
    assert found["git_commit"] == "abc"


@pytest.mark.parametrize("file", ["fp32", "int8"])
def test_a_file_tells_nothing_of_the_machine_that_exported_it(exported: Exported, file: str) -> None:
    content = getattr(exported, file).read_bytes()
    for path in (Path(torch.__file__).parent.parent, Path(__file__).parents[2]):
        assert str(path).encode() not in content
