"""Export of a checkpoint as one self-contained FP32 ONNX file."""

from __future__ import annotations

import json
import logging
import warnings
from pathlib import Path
from typing import Final

import onnx
import torch

from avemotion.preprocessing import contract
from avemotion.preprocessing.model_metadata import CONTRACT_KEY, CROP_KEY, METRICS_KEY
from export.quiet import loggers_at
from training.checkpoint import Checkpoint

OPSET: Final = 18
"""Newest operator set that Triton 24.10 loads (its ONNX Runtime is 1.19)."""

_TRACED_BATCH: Final = 3


def export_onnx(checkpoint: Checkpoint, path: Path, *, git_commit: str) -> None:
    """Export the serving network of a checkpoint, with a dynamic batch dimension.

    Args:
        checkpoint: The checkpoint.
        path: The ONNX file to write.
        git_commit: Commit of the exporting code, for the file's metadata.
    """
    names = [spec.name for spec in contract.INPUTS]
    example = tuple(torch.from_numpy(spec.zeros(_TRACED_BATCH)) for spec in contract.INPUTS)
    with loggers_at(logging.ERROR, "torch.onnx", "onnxscript"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # The exporter warns about its own internals.
        program = torch.onnx.export(
            checkpoint.serving_network(),
            example,
            dynamo=True,
            opset_version=OPSET,
            external_data=False,
            input_names=names,
            output_names=[spec.name for spec in contract.OUTPUTS],
            dynamic_shapes={name: {0: "batch"} for name in names},
            verbose=False,
        )
    if program is None:
        raise RuntimeError("torch.onnx.export returned nothing")
    model = program.model_proto
    _remove_traces(model)
    onnx.helper.set_model_props(model, metadata(checkpoint, git_commit))
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, path)


def _remove_traces(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on each operator: a third of a megabyte, with paths of the exporting machine."""
    graph = model.graph
    for item in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")


def metadata(checkpoint: Checkpoint, git_commit: str) -> dict[str, str]:
    """Metadata of the ONNX file; every value but `crop` and `git_commit` is JSON."""
    return {
        CONTRACT_KEY: json.dumps(contract.parameters()),
        CROP_KEY: checkpoint.crop,
        "fusion": json.dumps(vars(checkpoint.config)),
        "temperatures": json.dumps(vars(checkpoint.temperatures)),
        METRICS_KEY: json.dumps(checkpoint.metrics),
        "training": json.dumps(checkpoint.training),
        "git_commit": git_commit,
    }
