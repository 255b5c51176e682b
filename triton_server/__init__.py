"""Runs the real Triton Inference Server without a GPU or a container registry."""
