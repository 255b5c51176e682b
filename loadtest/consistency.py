"""Checks that a clip gets the same answer under load: a status of 200 would also accept a server that mixes them up.

The schemas of the API check the form of an answer. This module compares it with the first answer to the same clip:
a clip is always decoded to the same tensors, and a batch changes its probabilities by no more than rounding.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from pydantic import ValidationError

from avemotion.api.answers import ModelOutputs
from avemotion.api.predictions import BatchResponse, ClipPrediction, PredictResponse
from avemotion.api.timeline import TimelineResponse

TOLERANCE: Final = 0.5
"""Percentage points by which two answers to the same clip may differ."""


class FirstAnswers:
    """Remembers the first answer to each clip. Each method returns what is wrong with a later one, or None."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], list[float]] = {}

    def prediction(self, clip: str, body: str) -> str | None:
        """Check a response of `/predict` or `/predict/sampled`.

        Args:
            clip: Name of the clip, and of how it was sent.
            body: The response.
        """
        try:
            return self._clip(clip, PredictResponse.model_validate_json(body))
        except ValidationError as error:
            return _first_problem(error)

    def batch(self, clips: Sequence[str], body: str) -> str | None:
        """Check a response of `/predict/batch`, in which every clip must have its own prediction."""
        try:
            results = BatchResponse.model_validate_json(body).results
        except ValidationError as error:
            return _first_problem(error)
        if len(results) != len(clips):
            return f"{len(results)} results to {len(clips)} clips"
        for clip, result in zip(clips, results, strict=True):
            if result.prediction is None:
                return f"{clip}: {result.error.code if result.error else 'no error either'}"
            if problem := self._clip(clip, result.prediction):
                return f"{clip}: {problem}"
        return None

    def timeline(self, clip: str, body: str) -> str | None:
        """Check a response of `/predict/timeline`."""
        try:
            answer = TimelineResponse.model_validate_json(body)
        except ValidationError as error:
            return _first_problem(error)
        for number, row in enumerate(answer.rows):
            if problem := self._compare(f"{clip} row {number}", answer.model, row.probs or []):
                return f"row {number}: {problem}"
        return None

    def outputs(self, clip: str, outputs: ModelOutputs) -> str | None:
        """Check a model's own outputs for a batch of one."""
        return self._compare(clip, outputs.model, (100 * outputs.probabilities[0]).tolist())

    def _clip(self, clip: str, answer: ClipPrediction) -> str | None:
        return self._compare(clip, answer.model, answer.probs)

    def _compare(self, clip: str, model: str, probs: list[float]) -> str | None:
        first = self._first.setdefault((clip, model), probs)
        if len(first) != len(probs) or any(abs(a - b) > TOLERANCE for a, b in zip(first, probs, strict=True)):
            return f"the same clip got {first} before and {probs} now"
        return None


def _first_problem(error: ValidationError) -> str:
    """The first thing that is wrong with a response, and where."""
    first = error.errors(include_url=False)[0]
    return f"{'.'.join(map(str, first['loc'])) or error.title}: {first['msg']}"
