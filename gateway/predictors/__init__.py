"""Who computes the probabilities: Triton, ONNX Runtime in this process, or nobody (made-up numbers).

The rest of the gateway knows the protocol only, and never which of the three runs.
"""

from __future__ import annotations

import os

from gateway.predictors.base import (
    DEFAULT_CHOICE,
    ModelChoice,
    ModelDescription,
    Prediction,
    Predictor,
    ServableModel,
)
from gateway.settings import Settings

__all__ = [
    "DEFAULT_CHOICE",
    "ModelChoice",
    "ModelDescription",
    "Prediction",
    "Predictor",
    "ServableModel",
    "make_predictor",
]

# Packages of ONNX Runtime report their use to its maker unless this is set when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def make_predictor(settings: Settings) -> Predictor:
    """The predictor that the settings name; the libraries of the others are not imported."""
    match settings.predictor_name:
        case "triton":
            from gateway.predictors.triton import TritonPredictor  # noqa: PLC0415 (only what is used is loaded)

            return TritonPredictor(settings.triton_address, settings.model)
        case "onnxruntime":
            from gateway.predictors.in_process import InProcessPredictor  # noqa: PLC0415 (only what is used is loaded)

            return InProcessPredictor(settings.model_repository, settings.model)
        case "mock":
            from gateway.predictors.mock import MockPredictor  # noqa: PLC0415 (only what is used is loaded)

            return MockPredictor()
