"""Model repositories of stand-ins that carry the contract, as the export writes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import onnx

from avemotion.preprocessing import contract
from avemotion.preprocessing.model_metadata import CONTRACT_KEY, CROP_KEY, METRICS_KEY
from tests.support.standin_model import write_repository

MODEL = "standin"


def write_model(folder: Path, *, crop: str = "face", parameters: dict[str, Any] | None = None) -> Path:
    """A model repository with one stand-in, for ONNX Runtime and for Triton.

    Args:
        folder: Folder to make.
        crop: Crop mode that the model asks for.
        parameters: The contract that it carries; by default this code's.

    Returns:
        The folder.
    """
    return write_models(folder, MODEL, crop=crop, parameters=parameters)


def write_models(
    folder: Path,
    *names: str,
    crop: str = "face",
    parameters: dict[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
) -> Path:
    """The same with several stand-ins, each with weights of its own, which carry these metrics."""
    write_repository(folder, *names)
    found = json.dumps(contract.parameters() if parameters is None else parameters)
    metadata = {CONTRACT_KEY: found, CROP_KEY: crop} | ({METRICS_KEY: json.dumps(metrics)} if metrics else {})
    for name in names:
        path = folder / name / "1" / "model.onnx"
        model = onnx.load(path)
        onnx.helper.set_model_props(model, metadata)
        onnx.save(model, path)
        with (folder / name / "config.pbtxt").open("a") as config:
            for key, value in metadata.items():
                config.write(f'parameters {{ key: "{key}", value: {{ string_value: {json.dumps(value)} }} }}\n')
    return folder


def other_contract() -> dict[str, Any]:
    """A contract that differs from this code's in one field."""
    return contract.parameters() | {"sample_rate": contract.SAMPLE_RATE // 2}
