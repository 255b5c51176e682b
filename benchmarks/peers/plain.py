"""The plain design: FastAPI, a temporary file, OpenCV, librosa and PyTorch in one process.

EMO_PEER_MODEL=checkpoints/best.pt python -m uvicorn benchmarks.peers.plain:app
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any

import torch
from fastapi import FastAPI, File

from benchmarks.peers.pipeline import answer, read_clip
from training.checkpoint import load_checkpoint

app = FastAPI()
model = load_checkpoint(Path(os.environ["EMO_PEER_MODEL"])).serving_network()


@app.post("/predict")
def predict(file: Annotated[bytes, File()]) -> dict[str, Any]:
    """One clip; FastAPI runs this in a thread of its pool."""
    tensors = {name: torch.from_numpy(array) for name, array in read_clip(file).items()}
    with torch.inference_mode():
        probabilities = model(tensors["frames"], tensors["log_mel"], tensors["present"])[0]
    return answer(probabilities[0].numpy(), "torch")
