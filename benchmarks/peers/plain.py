"""The plain design: FastAPI, a temporary file, OpenCV, librosa and PyTorch, in one process.

EMO_PEER_MODEL=plain.pt python -m uvicorn benchmarks.peers.plain:app
"""

from __future__ import annotations

import os
from typing import Annotated, Any

import torch
from fastapi import FastAPI, File

from benchmarks.peers.pipeline import answer, read_clip
from training.network import EmotionNetwork, NetworkConfig, ServingNetwork, Temperatures

app = FastAPI()
stored = torch.load(os.environ["EMO_PEER_MODEL"], weights_only=True)
network = EmotionNetwork(NetworkConfig(**stored["config"]))
network.load_state_dict(stored["weights"])
model = ServingNetwork(network, Temperatures(**stored["temperatures"])).eval()


@app.post("/predict")
def predict(file: Annotated[bytes, File()]) -> dict[str, Any]:
    """One clip; FastAPI runs this in a thread of its pool."""
    tensors = {name: torch.from_numpy(array) for name, array in read_clip(file).items()}
    with torch.inference_mode():
        probabilities = model(tensors["frames"], tensors["log_mel"], tensors["present"])[0]
    return answer(probabilities[0].numpy(), "torch")
