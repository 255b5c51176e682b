"""The same clip pipeline and the same ONNX file behind LitServe, with its batching and a worker for each core.

EMO_PEER_MODEL=model.onnx EMO_PEER_PORT=9000 python -m benchmarks.peers.litserve_server
"""

from __future__ import annotations

import os
from typing import Any

import litserve
import numpy as np
import onnxruntime

from benchmarks.peers.pipeline import answer, read_clip


class EmotionAPI(litserve.LitAPI):
    """Decoding in `decode_request`, the model in `predict`, as LitServe's documentation shows."""

    def setup(self, device: str) -> None:  # noqa: ARG002 (LitServe's signature)
        """Load the model, once in each worker."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["EMO_PEER_MODEL"], options)

    def decode_request(self, request) -> dict[str, np.ndarray]:  # type: ignore[no-untyped-def]  # noqa: ANN001
        """From the upload to tensors; LitServe parses forms itself if the request is not annotated."""
        return read_clip(request["file"].file.read())

    def batch(self, inputs: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Several clips as one batch."""
        return {name: np.concatenate([one[name] for one in inputs]) for name in inputs[0]}

    def predict(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        """Probabilities [batch, 8]."""
        return np.asarray(self.session.run(["probabilities"], batch)[0])

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        """One row for each clip."""
        return list(output)

    def encode_response(self, output: np.ndarray) -> dict[str, Any]:
        """The JSON of the answer."""
        return answer(output, "onnx")


if __name__ == "__main__":
    server = litserve.LitServer(
        EmotionAPI(max_batch_size=8, batch_timeout=0.002, api_path="/predict"),
        accelerator="cpu",
        workers_per_device=os.cpu_count() or 1,
    )
    server.run(host="127.0.0.1", port=int(os.environ["EMO_PEER_PORT"]), generate_client_file=False, log_level="warning")
