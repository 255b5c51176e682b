"""Rendered configurations equal the committed ones, and Triton's parser accepts them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from avemotion.preprocessing import contract
from export.overlays import overlay_configurations
from export.repository import measured
from export.triton_config import Serving, gpu, render_config, render_labels, warmup_files

ROOT = Path(__file__).parents[2]
COMMITTED = ROOT / "model_repository"


def parsed(text: str) -> model_config_pb2.ModelConfig:
    return text_format.Parse(text, model_config_pb2.ModelConfig())


@pytest.mark.parametrize("name", ["emotion_fp32", "emotion_int8"])
def test_committed_configuration_is_the_one_that_the_contract_renders(name: str) -> None:
    assert (COMMITTED / name / "config.pbtxt").read_text() == render_config(
        name, "face", metrics=measured(COMMITTED / name)
    )
    assert (COMMITTED / name / "labels.txt").read_text() == render_labels()
    assert {path.name: path.read_bytes() for path in (COMMITTED / name / "warmup").iterdir()} == warmup_files()


@pytest.mark.parametrize("path", overlay_configurations(), ids=str)
def test_configurations_of_the_overlays_are_those_that_are_rendered(path: Path) -> None:
    assert (ROOT / path).read_text() == overlay_configurations()[path], "run `python -m export configure`"


def test_configuration_names_the_contracts_tensors_and_carries_the_contract() -> None:
    config = parsed(render_config("some model", "none"))
    assert config.name == "some model"
    assert [(i.name, tuple(i.dims)) for i in config.input] == [(s.name, s.shape) for s in contract.INPUTS]
    assert [(o.name, tuple(o.dims)) for o in config.output] == [(s.name, s.shape) for s in contract.OUTPUTS]
    assert config.parameters["crop"].string_value == "none"
    contract.check_parameters(json.loads(config.parameters["contract"].string_value), source="config.pbtxt")


def test_a_full_queue_and_a_long_wait_reject_and_one_version_is_served() -> None:
    config = parsed(render_config("model", "face", Serving(max_queue_size=5, queue_timeout_microseconds=7)))
    policy = config.dynamic_batching.default_queue_policy
    assert policy.timeout_action == model_config_pb2.ModelQueuePolicy.REJECT
    assert (policy.max_queue_size, policy.default_timeout_microseconds) == (5, 7)
    assert config.version_policy.latest.num_versions == 1


@pytest.mark.parametrize(("cores", "instances", "threads"), [(8, 1, "8"), (8, 3, "2"), (1, 2, "1")])
def test_instances_share_the_cores(cores: int, instances: int, threads: str) -> None:
    config = parsed(render_config("model", "face", Serving(cores=cores, instances=instances)))
    assert config.parameters["intra_op_thread_count"].string_value == threads
    assert config.instance_group[0].count == instances


def test_warm_up_covers_one_clip_and_the_largest_batch_with_both_modalities_present() -> None:
    config = parsed(render_config("model", "face"))
    assert [sample.batch_size for sample in config.model_warmup] == [1, config.max_batch_size]
    for sample in config.model_warmup:
        assert set(sample.inputs) == {spec.name for spec in contract.INPUTS}
        assert sample.inputs[contract.PRESENT.name].input_data_file in warmup_files()


@pytest.mark.parametrize("precision", ["FP16", "INT8"])
def test_a_gpu_runs_tensorrt_in_this_precision_for_every_batch_size(precision: str) -> None:
    serving = gpu("FP16" if precision == "FP16" else "INT8")
    config = parsed(render_config("model", "face", serving))
    assert config.instance_group[0].kind == model_config_pb2.ModelInstanceGroup.KIND_GPU
    (accelerator,) = config.optimization.execution_accelerators.gpu_execution_accelerator
    assert (accelerator.name, accelerator.parameters["precision_mode"]) == ("tensorrt", precision)
    profiles = {
        kind: dict(shape.split(":") for shape in accelerator.parameters[f"trt_profile_{kind}_shapes"].split(","))
        for kind in ("min", "opt", "max")
    }
    for spec in contract.INPUTS:
        shapes = [[int(size) for size in profiles[kind][spec.name].split("x")] for kind in ("min", "opt", "max")]
        assert all(tuple(shape[1:]) == spec.shape for shape in shapes)
        assert [shape[0] for shape in shapes] == [1, 8, config.max_batch_size]
    # Only a GPU's engines are tuned for batch sizes.
    assert list(config.dynamic_batching.preferred_batch_size) == [8, 16]
    assert not parsed(render_config("model", "face")).dynamic_batching.preferred_batch_size
