"""Predictions from Python: through the gateway, or straight from Triton with clips decoded on this machine.

    from client import EmotionClient

    with EmotionClient("http://127.0.0.1:8000") as emotion:
        print(emotion.predict("clip.webm").top1)

This package knows the contract and how clips become tensors (`preprocessing`), and nothing of the gateway's code.
"""

from __future__ import annotations

from client.answers import BatchItem, ModelEntry, Prediction, Timeline, TimelineRow
from client.asynchronous import AsyncEmotionClient
from client.direct import TritonClient
from client.errors import ClientError, RefusedError, UnreachableError
from client.rest import EmotionClient

__all__ = [
    "AsyncEmotionClient",
    "BatchItem",
    "ClientError",
    "EmotionClient",
    "ModelEntry",
    "Prediction",
    "RefusedError",
    "Timeline",
    "TimelineRow",
    "TritonClient",
    "UnreachableError",
]
