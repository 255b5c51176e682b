"""Description of an ONNX file: contract, origin, size, inputs, outputs and operators."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError

from avemotion.preprocessing import contract
from avemotion.preprocessing.errors import ContractMismatchError, ModelFileError


@dataclass(frozen=True)
class Inspection:
    """Description of an ONNX file.

    Attributes:
        path: The file.
        megabytes: Its size, in 10^6 bytes.
        opset: Version of the standard operator set.
        ir_version: Version of the file format.
        metadata: Metadata by key, parsed if it is JSON.
        inputs: Name, element type and shape of each input.
        outputs: Name, element type and shape of each output.
        operators: Number of nodes by operator.
        parameters: Number of values in the constants.
        compatibility: Whether the file's contract is this code's, as a phrase.
    """

    path: Path
    megabytes: float
    opset: int
    ir_version: int
    metadata: dict[str, Any]
    inputs: list[str]
    outputs: list[str]
    operators: Counter[str]
    parameters: int
    compatibility: str

    def __str__(self) -> str:
        rows = [
            ("file", f"{self.path}, {self.megabytes:.1f} MB, opset {self.opset}, IR {self.ir_version}"),
            ("contract", self.compatibility),
            *((key, _short(value)) for key, value in self.metadata.items() if key != "contract"),
            ("inputs", "; ".join(self.inputs)),
            ("outputs", "; ".join(self.outputs)),
            ("operators", ", ".join(f"{count} {name}" for name, count in self.operators.most_common())),
            ("parameters", f"{self.parameters:,}"),
        ]
        return "\n".join(f"{key:14} {value}" for key, value in rows)


def inspect(path: Path) -> Inspection:
    """Read an ONNX file.

    Raises:
        ModelFileError: The file is missing or not a valid ONNX file.
    """
    try:
        model = onnx.load(path)
    except (OSError, DecodeError) as error:
        raise ModelFileError(f"{path} is not a readable ONNX file: {error}") from error
    if not model.graph.node:
        raise ModelFileError(f"{path} is not a valid ONNX file: it has no graph.")
    metadata = {entry.key: _parsed(entry.value) for entry in model.metadata_props}
    return Inspection(
        path=path,
        megabytes=path.stat().st_size / 1e6,
        opset=next((entry.version for entry in model.opset_import if entry.domain in {"", "ai.onnx"}), 0),
        ir_version=model.ir_version,
        metadata=metadata,
        inputs=[_tensor(value) for value in model.graph.input],
        outputs=[_tensor(value) for value in model.graph.output],
        operators=Counter(node.op_type for node in model.graph.node),
        parameters=sum(_size(tensor) for tensor in model.graph.initializer),
        compatibility=_compatibility(metadata.get("contract"), path),
    )


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of an ONNX file by key; empty if the file is missing or not a valid ONNX file."""
    try:
        model = onnx.load(path)
    except (OSError, DecodeError):
        return {}
    return {entry.key: entry.value for entry in model.metadata_props}


def _compatibility(found: object, path: Path) -> str:
    if not isinstance(found, dict):
        return "none: the file was not exported by this project"
    try:
        contract.check_parameters(found, source=str(path))
    except ContractMismatchError as error:
        return error.message
    return f"version {found['contract_version']}, the same as this code's; labels {', '.join(found['labels'])}"


def _parsed(text: str) -> Any:  # noqa: ANN401 (JSON)
    try:
        return json.loads(text)
    except ValueError:
        return text


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 400 else f"{text[:400]}…"


def _tensor(value: onnx.ValueInfoProto) -> str:
    kind = onnx.TensorProto.DataType.Name(value.type.tensor_type.elem_type)
    shape = [size.dim_param or str(size.dim_value) for size in value.type.tensor_type.shape.dim]
    return f"{value.name} {kind} [{', '.join(shape)}]"


def _size(tensor: onnx.TensorProto) -> int:
    size = 1
    for length in tensor.dims:
        size *= length
    return size
