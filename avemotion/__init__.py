"""Audio-visual emotion recognition: the client, the schemas of its answers, and clip preprocessing.

    from avemotion import EmotionClient

    with EmotionClient("http://127.0.0.1:8000") as emotion:
        print(emotion.predict("clip.webm").top1)

Names are imported on first use: `import avemotion` stays cheap, and each part asks only for its own dependencies.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from avemotion.client.answers import BatchItem, ModelEntry, Prediction, Timeline, TimelineRow
    from avemotion.client.asynchronous import AsyncEmotionClient
    from avemotion.client.direct import TritonClient
    from avemotion.client.errors import ClientError, RefusedError, UnreachableError
    from avemotion.client.rest import EmotionClient

_MODULES = {
    "AsyncEmotionClient": "avemotion.client.asynchronous",
    "BatchItem": "avemotion.client.answers",
    "ClientError": "avemotion.client.errors",
    "EmotionClient": "avemotion.client.rest",
    "ModelEntry": "avemotion.client.answers",
    "Prediction": "avemotion.client.answers",
    "RefusedError": "avemotion.client.errors",
    "Timeline": "avemotion.client.answers",
    "TimelineRow": "avemotion.client.answers",
    "TritonClient": "avemotion.client.direct",
    "UnreachableError": "avemotion.client.errors",
}

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


def __getattr__(name: str) -> Any:  # noqa: ANN401 (any of the names above)
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
