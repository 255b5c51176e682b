"""Audio-visual emotion recognition: the clients, the schemas of their answers, and clip preprocessing.

    from avemotion import EmotionClient

    with EmotionClient("http://127.0.0.1:8000") as emotion:
        print(emotion.predict("clip.webm").top1)

Names are imported on first use, so that each part needs only its own dependencies: `EmotionClient` and
`AsyncEmotionClient` need httpx and pydantic, `TritonClient` the extra `triton`.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avemotion.api.predictions import BatchResult, ClipPrediction, PredictResponse
    from avemotion.api.service import ContractResponse, HealthResponse, ModelEntry, ReadyResponse
    from avemotion.api.timeline import TimelineHead, TimelineResponse, TimelineRow
    from avemotion.client.asynchronous import AsyncEmotionClient
    from avemotion.client.direct import DirectPrediction, TritonClient
    from avemotion.client.errors import (
        ClientError,
        MissingExtraError,
        RefusedError,
        UnexpectedAnswerError,
        UnreachableError,
    )
    from avemotion.client.rest import EmotionClient
    from avemotion.preprocessing.errors import EmotionError

_MODULES = {
    "AsyncEmotionClient": "avemotion.client.asynchronous",
    "BatchResult": "avemotion.api.predictions",
    "ClientError": "avemotion.client.errors",
    "ClipPrediction": "avemotion.api.predictions",
    "ContractResponse": "avemotion.api.service",
    "DirectPrediction": "avemotion.client.direct",
    "EmotionClient": "avemotion.client.rest",
    "EmotionError": "avemotion.preprocessing.errors",
    "HealthResponse": "avemotion.api.service",
    "MissingExtraError": "avemotion.client.errors",
    "ModelEntry": "avemotion.api.service",
    "PredictResponse": "avemotion.api.predictions",
    "ReadyResponse": "avemotion.api.service",
    "RefusedError": "avemotion.client.errors",
    "TimelineHead": "avemotion.api.timeline",
    "TimelineResponse": "avemotion.api.timeline",
    "TimelineRow": "avemotion.api.timeline",
    "TritonClient": "avemotion.client.direct",
    "UnexpectedAnswerError": "avemotion.client.errors",
    "UnreachableError": "avemotion.client.errors",
}

__all__ = [
    "AsyncEmotionClient",
    "BatchResult",
    "ClientError",
    "ClipPrediction",
    "ContractResponse",
    "DirectPrediction",
    "EmotionClient",
    "EmotionError",
    "HealthResponse",
    "MissingExtraError",
    "ModelEntry",
    "PredictResponse",
    "ReadyResponse",
    "RefusedError",
    "TimelineHead",
    "TimelineResponse",
    "TimelineRow",
    "TritonClient",
    "UnexpectedAnswerError",
    "UnreachableError",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of the names above)
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
