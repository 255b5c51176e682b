"""Metadata of a model: contract, crop mode and metrics, in its ONNX file and in the parameters of `config.pbtxt`.

Triton does not expose an ONNX file's metadata to its clients, so the parameters of its configuration repeat what
clients need. One configuration covers all versions of a model; the key of the metrics therefore names the version.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from avemotion.preprocessing.contract import CROP_MODES, CropMode, check_parameters
from avemotion.preprocessing.errors import ContractMismatchError

CONTRACT_KEY: Final = "contract"
"""Key of the contract's JSON, in both places."""

CROP_KEY: Final = "crop"
"""Key of the crop mode, in both places."""

METRICS_KEY: Final = "metrics"
"""Key of the metrics, as JSON, in an ONNX file; optional."""


def metrics_key(version: str) -> str:
    """Key of the metrics of one version in a Triton configuration."""
    return f"{METRICS_KEY}_{version}"


def checked_crop(metadata: Mapping[str, str], *, source: str) -> CropMode:
    """Check a model's contract and return its crop mode.

    Args:
        metadata: The ONNX metadata or the parameters of Triton's configuration.
        source: Name of the model or file, for the message.

    Raises:
        ContractMismatchError: The model was made for other tensors or another crop mode, or has no contract.
    """
    found = _json_object(metadata, CONTRACT_KEY)
    if found is None:
        raise ContractMismatchError(f"{source} carries no tensor contract; export it again.")
    check_parameters(found, source=source)
    crop = metadata.get(CROP_KEY, "")
    for mode in CROP_MODES:
        if crop == mode:
            return mode
    raise ContractMismatchError(f"{source} has the crop mode '{crop}'; expected {' or '.join(CROP_MODES)}.")


def metrics_of(metadata: Mapping[str, str], version: str | None = None) -> dict[str, Any] | None:
    """The metrics of a model without its tables and curves.

    Args:
        metadata: The ONNX metadata or the parameters of Triton's configuration.
        version: The model's version in Triton's configuration; None for an ONNX file.

    Returns:
        Metrics by name, nested; None if the model has none.
    """
    key = metrics_key(version) if version is not None and metrics_key(version) in metadata else METRICS_KEY
    found = _json_object(metadata, key)
    return None if found is None else _figures(found)


def _figures(metrics: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _figures(value) if isinstance(value, dict) else value
        for name, value in metrics.items()
        if not isinstance(value, list)
    }


def _json_object(metadata: Mapping[str, str], key: str) -> dict[str, Any] | None:
    """The JSON object under a key; None if there is none or it is not valid."""
    try:
        found = json.loads(metadata.get(key, ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
