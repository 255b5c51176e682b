"""What a model says of itself beside its graph: in an ONNX file's metadata, and in the parameters of `config.pbtxt`.

Triton does not show an ONNX file's metadata to its clients, and has one configuration for all versions of a model.
So its parameters repeat what clients must know, and name the version where versions differ: the metrics.
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
"""Key of what the model was measured to be, as JSON, in an ONNX file; a model may do without."""


def metrics_key(version: str) -> str:
    """Key of the same in a Triton configuration, for one version."""
    return f"{METRICS_KEY}_{version}"


def checked_crop(metadata: Mapping[str, str], *, source: str) -> CropMode:
    """How a model wants clips to be cropped, once its tensors are known to be those of this code.

    Args:
        metadata: The ONNX metadata or the parameters of Triton's configuration.
        source: What they belong to, for the error.

    Raises:
        ContractMismatchError: It was made for other tensors, or does not say for which.
    """
    found = _json_object(metadata, CONTRACT_KEY)
    if found is None:
        raise ContractMismatchError(f"{source} does not say which tensors it was made for; export it again.")
    check_parameters(found, source=source)
    crop = metadata.get(CROP_KEY, "")
    for mode in CROP_MODES:
        if crop == mode:
            return mode
    raise ContractMismatchError(f"{source} wants the crop mode '{crop}'; this code knows {', '.join(CROP_MODES)}.")


def metrics_of(metadata: Mapping[str, str], version: str | None = None) -> dict[str, Any] | None:
    """What a model was measured to be, in single figures: tables and curves stay in the ONNX file.

    Args:
        metadata: The ONNX metadata or the parameters of Triton's configuration.
        version: Whose; in an ONNX file there is but one.

    Returns:
        Figures by name, nested; None where it does not say.
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
    """The JSON object under a key, None where there is none that can be read."""
    try:
        found = json.loads(metadata.get(key, ""))
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
