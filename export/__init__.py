"""Export of a checkpoint as ONNX files, FP32 and INT8, into a Triton model repository."""

import os

# Turns off ONNX Runtime's telemetry; read when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
