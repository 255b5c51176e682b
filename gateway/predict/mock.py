"""Made-up numbers in the shape of real ones, to build pages and clients without a model.

The numbers depend on the clip alone, so the same clip always gets the same answer. The answer names its model `mock`.
"""

from __future__ import annotations

import hashlib

import numpy as np
import numpy.typing as npt

from avemotion.api.answers import ModelOutputs
from avemotion.preprocessing.contract import FRAME_ATTENTION, INPUTS, LOGITS, PRESENT
from gateway.deadlines import Deadline
from gateway.predict.predictor import (
    ModelChoice,
    ModelDescription,
    ServableModel,
    Tensors,
    check_choice,
    predict_in_chunks,
)

MODEL_NAME = "mock"
_VERSION = "1"
_MAX_BATCH_SIZE = 16
_LOGIT_SPREAD = 1.5


class MockPredictor:
    """Answers at once with numbers that are drawn from a hash of the clip.

    Attributes:
        default_model: Name of the only model.
    """

    default_model = MODEL_NAME

    async def start(self) -> None:
        """Nothing to do."""

    async def stop(self) -> None:
        """Nothing to do."""

    async def models(self, deadline: Deadline) -> list[ServableModel]:  # noqa: ARG002 (part of the protocol)
        """The mock model only."""
        return [ServableModel(MODEL_NAME, (_VERSION,), "face", metrics=None)]

    async def describe(self, choice: ModelChoice, deadline: Deadline) -> ModelDescription:
        """What the mock model needs: face crops."""
        check_choice(choice, MODEL_NAME, await self.models(deadline))
        return ModelDescription(MODEL_NAME, choice.version, "face", _MAX_BATCH_SIZE)

    async def predict(
        self,
        tensors: Tensors,
        model: ModelDescription,
        deadline: Deadline,  # noqa: ARG002 (part of the protocol)
    ) -> ModelOutputs:
        """Numbers that depend on the tensors alone."""
        return await predict_in_chunks(_made_up, tensors, model)


async def _made_up(tensors: Tensors) -> ModelOutputs:
    batch = len(next(iter(tensors.values())))
    generators = [np.random.default_rng(_seed(tensors, row)) for row in range(batch)]
    logits, video, audio = (
        np.stack([rng.normal(0, _LOGIT_SPREAD, LOGITS.shape) for rng in generators]) for _ in range(3)
    )
    attention = np.stack([rng.normal(0, 1, FRAME_ATTENTION.shape) for rng in generators])
    return ModelOutputs(
        probabilities=_softmax(logits),
        logits=logits.astype(np.float32),
        video_probabilities=_softmax(video),
        audio_probabilities=_softmax(audio),
        frame_attention=_softmax(attention),
        evidence=tensors[PRESENT.name].astype(np.float32),
        model=MODEL_NAME,
        model_version=_VERSION,
    )


def _seed(tensors: Tensors, row: int) -> int:
    digest = hashlib.blake2b(digest_size=8)
    for spec in INPUTS:
        digest.update(np.ascontiguousarray(tensors[spec.name][row]).tobytes())
    return int.from_bytes(digest.digest(), "big")


def _softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    exponentials = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return np.asarray(exponentials / exponentials.sum(axis=-1, keepdims=True), np.float32)
