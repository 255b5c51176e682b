"""A checkpoint becomes ONNX files, FP32 and INT8, in a Triton model repository."""
