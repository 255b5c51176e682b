"""Predictions: the predictors (Triton, ONNX Runtime in-process, mock) and what is made of their outputs."""

import os

# ONNX Runtime's packages report their use to the maker unless this is set when they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
