"""The same clip pipeline and the same ONNX file behind BentoML, with a worker for each core.

EMO_PEER_MODEL=model.onnx bentoml serve benchmarks.peers.bentoml_service:Emotion --host 127.0.0.1 --port 9000
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import onnxruntime

from benchmarks.peers.pipeline import answer, read_clip


@bentoml.service(workers=os.cpu_count() or 1, traffic={"timeout": 60})
class Emotion:
    """One session in each worker process; BentoML runs the method in a thread of the worker."""

    def __init__(self) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["EMO_PEER_MODEL"], options)

    @bentoml.api(route="/predict")
    def predict(self, file: Path) -> dict[str, Any]:
        """One clip, which BentoML has written to a temporary file."""
        probabilities = np.asarray(self.session.run(["probabilities"], read_clip(file.read_bytes()))[0])
        return answer(probabilities[0], "onnx")
