"""A checkpoint becomes ONNX files, FP32 and INT8, in a Triton model repository."""

import os

# Packages of ONNX Runtime report their use to its maker unless this is set when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
