"""Predictions: the predictors (Triton, ONNX Runtime in-process, mock) and what is made of their outputs.

The rest of the gateway knows the `Predictor` protocol only, never which of the three runs.
"""

from __future__ import annotations

import os

from opentelemetry.trace import Tracer

from gateway.predict.predictor import (
    DEFAULT_CHOICE,
    ModelChoice,
    ModelDescription,
    Predictor,
    ServableModel,
)
from gateway.settings import Settings
from gateway.telemetry import NO_TRACER

__all__ = [
    "DEFAULT_CHOICE",
    "ModelChoice",
    "ModelDescription",
    "Predictor",
    "ServableModel",
    "make_predictor",
]

# ONNX Runtime's packages report their use to the maker unless this is set when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"


def make_predictor(settings: Settings, tracer: Tracer = NO_TRACER) -> Predictor:
    """The predictor that the settings name; the libraries of the others are not imported.

    Args:
        settings: The settings.
        tracer: Makes a span of each call to Triton.
    """
    match settings.predictor_name:
        case "triton":
            from gateway.predict.triton import TritonPredictor  # noqa: PLC0415 (only what is used is loaded)

            return TritonPredictor(settings.triton_address, settings.model, tracer)
        case "onnxruntime":
            from gateway.predict.in_process import InProcessPredictor  # noqa: PLC0415 (only what is used is loaded)

            return InProcessPredictor(settings.model_repository, settings.model)
        case "mock":
            from gateway.predict.mock import MockPredictor  # noqa: PLC0415 (only what is used is loaded)

            return MockPredictor()
