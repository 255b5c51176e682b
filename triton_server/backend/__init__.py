"""Our Python-based Triton backend `onnxruntime`, which runs inside Triton's Python stub."""
