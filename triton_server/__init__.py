"""The real Triton Inference Server without a GPU or a container registry: environment, backend, launcher."""
