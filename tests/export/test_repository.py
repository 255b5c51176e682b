"""Models arrive in the repository whole, as new versions, with a configuration that Triton can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2

from export.errors import ExportError
from export.repository import install, versions
from export.triton_config import render_config, render_labels
from preprocessing import contract

COMMITTED = Path(__file__).parents[2] / "model_repository"


@pytest.fixture
def onnx_file(tmp_path: Path) -> Path:
    path = tmp_path / "some.onnx"
    path.write_bytes(b"random weights")
    return path


@pytest.mark.parametrize("name", ["emotion_fp32", "emotion_int8"])
def test_committed_configuration_is_the_one_that_the_contract_renders(name: str) -> None:
    assert (COMMITTED / name / "config.pbtxt").read_text() == render_config(name, "face")
    assert (COMMITTED / name / "labels.txt").read_text() == render_labels()


def test_configuration_names_the_contracts_tensors_and_carries_the_contract() -> None:
    config = text_format.Parse(render_config("some model", "none"), model_config_pb2.ModelConfig())
    assert config.name == "some model"
    assert [(i.name, tuple(i.dims)) for i in config.input] == [(s.name, s.shape) for s in contract.INPUTS]
    assert [(o.name, tuple(o.dims)) for o in config.output] == [(s.name, s.shape) for s in contract.OUTPUTS]
    assert config.parameters["crop"].string_value == "none"
    contract.check_parameters(json.loads(config.parameters["contract"].string_value), source="config.pbtxt")


def test_each_installation_is_the_next_version(tmp_path: Path, onnx_file: Path) -> None:
    repository = tmp_path / "a repository"
    assert install(repository, "model", onnx_file, "face") == repository / "model" / "1"
    (repository / "model" / "9").mkdir()
    assert install(repository, "model", onnx_file, "face") == repository / "model" / "10"
    assert versions(repository / "model") == [1, 9, 10]
    assert (repository / "model" / "10" / "model.onnx").read_bytes() == b"random weights"
    assert sorted(path.name for path in repository.iterdir()) == ["model"]


def test_a_repository_that_cannot_be_written_is_left_as_it_was(tmp_path: Path, onnx_file: Path) -> None:
    repository = tmp_path / "repository"
    (repository / "model").mkdir(parents=True)
    (repository / "model" / "config.pbtxt").mkdir()
    with pytest.raises(ExportError, match=r"repository .* cannot be written"):
        install(repository, "model", onnx_file, "face")
    assert [path.name for path in repository.rglob("*")] == ["model", "config.pbtxt"]
