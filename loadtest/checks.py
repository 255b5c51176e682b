"""Is an answer right? A status of 200 alone would let a server pass that mixes answers up under load.

Besides its form, every answer is compared with the first one that the same clip got: a clip is always decoded to the
same tensors, and a batch does not change what the model says of it by more than rounding.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy.typing as npt

from avemotion.preprocessing.contract import LABELS, PROBABILITIES

TOLERANCE = 0.5
"""Percentage points by which two answers to the same clip may differ."""

_SUM_TOLERANCE = 0.1


class Checker:
    """Knows what each clip was answered first."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str], Sequence[float]] = {}

    def prediction(self, clip: str, body: Mapping[str, Any]) -> str | None:
        """What is wrong with an answer to `/predict` or `/predict/sampled`, if anything.

        Args:
            clip: Name of the clip, and of how it was sent.
            body: The answer's JSON.
        """
        try:
            if list(body["labels"]) != list(LABELS):
                return f"labels are {body['labels']}"
            return self._row(clip, str(body["model"]), body)
        except (KeyError, TypeError, ValueError) as error:
            return f"the answer lacks or garbles {error}"

    def batch(self, clips: Sequence[str], body: Mapping[str, Any]) -> str | None:
        """What is wrong with an answer to `/predict/batch`: every clip must have its own, in order."""
        try:
            results = body["results"]
            if [result["index"] for result in results] != list(range(len(clips))):
                return f"{len(results)} results to {len(clips)} clips, or in another order"
            for clip, result in zip(clips, results, strict=True):
                if result["error"] is not None:
                    return f"{clip}: {result['error']['code']}"
                if problem := self.prediction(clip, result["prediction"]):
                    return f"{clip}: {problem}"
        except (KeyError, TypeError, ValueError) as error:
            return f"the answer lacks or garbles {error}"
        return None

    def timeline(self, clip: str, body: Mapping[str, Any]) -> str | None:
        """What is wrong with an answer to `/predict/timeline`."""
        try:
            if list(body["labels"]) != list(LABELS):
                return f"labels are {body['labels']}"
            rows = body["rows"]
            if not rows:
                return "there is no row"
            starts = [row["start"] for row in rows]
            if starts != sorted(set(starts)):
                return f"starts are {starts}"
            for number, row in enumerate(rows):
                if problem := self._row(f"{clip} row {number}", str(body["model"]), row):
                    return f"row {number}: {problem}"
        except (KeyError, TypeError, ValueError) as error:
            return f"the answer lacks or garbles {error}"
        return None

    def tensors(self, clip: str, outputs: Mapping[str, npt.NDArray[Any]]) -> str | None:
        """What is wrong with a model's own outputs, of a batch of one."""
        probs = (100 * outputs[PROBABILITIES.name][0].astype(float)).tolist()
        top = max(range(len(probs)), key=probs.__getitem__)
        return self._row(clip, "tensors", {"probs": probs, "top1": {"label": LABELS[top], "prob": probs[top]}})

    def _row(self, clip: str, model: str, body: Mapping[str, Any]) -> str | None:
        probs = [float(value) for value in body["probs"]]
        if len(probs) != len(LABELS) or not all(0 <= value <= 100 and math.isfinite(value) for value in probs):
            return f"probabilities are {probs}"
        if abs(sum(probs) - 100) > _SUM_TOLERANCE:
            return f"probabilities sum to {sum(probs):.2f} %"
        top = body["top1"]
        if top["prob"] != max(probs) or probs[LABELS.index(top["label"])] != top["prob"]:
            return f"top1 is {top}, the probabilities are {probs}"
        first = self._first.setdefault((clip, model), probs)
        if max(abs(one - other) for one, other in zip(first, probs, strict=True)) > TOLERANCE:
            return f"the same clip got {first} before and {probs} now"
        return None
