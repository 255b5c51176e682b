"""A longer clip as a sequence of windows: decoded once, predicted in batches, answered row by row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Final

from avemotion.api.answers import milliseconds, timeline_row
from avemotion.api.timeline import TimelineHead, TimelineRow, TimelineTimings
from avemotion.preprocessing.contract import LABELS, WINDOW_SECONDS
from gateway.decode.messages import DecodedMedia, DecodeTask
from gateway.errors import DeadlineExceededError
from gateway.http.context import Accepted
from gateway.predict.clips import infer

SMALLEST_STEP: Final = 0.5
"""Smallest time between the starts of two windows, in seconds: they then share five sixths."""

LARGEST_STEP: Final = 1.0
"""Largest time between the starts of two windows, in seconds."""


@dataclass
class TimelinePredictor:
    """Predicts the windows of a decoded clip, batch by batch.

    Attributes:
        accepted: The request.
        decoded: The windows.
        step: Seconds between the starts of two windows.
        begin: When work began, on the clock of `time.perf_counter`.
        decoded_at: When the windows were decoded, on the same clock.
    """

    accepted: Accepted[bytes]
    decoded: DecodedMedia
    step: float
    begin: float
    decoded_at: float = field(default_factory=time.perf_counter)
    _first: list[TimelineRow] = field(default_factory=list)

    async def predict_first(self) -> TimelineHead:
        """Predict the first batch, so that a request that cannot be answered fails before its response begins.

        Returns:
            What holds for all rows.

        Raises:
            ModelUnavailableError: The model does not answer.
        """
        self._first, version = await self._predict(0)
        return TimelineHead(
            labels=list(LABELS),
            duration=round(self.decoded.duration, 3),
            step=self.step,
            window_seconds=WINDOW_SECONDS,
            model=self.accepted.model.name,
            model_version=version,
            request_id=self.accepted.request_id,
        )

    async def batches(self) -> AsyncIterator[list[TimelineRow]]:
        """The rows in order, a batch at a time.

        Raises:
            ModelUnavailableError: The model stopped answering.
        """
        yield self._first
        windows = len(self.decoded.windows)
        for first in range(len(self._first), windows, self.accepted.model.max_batch_size):
            rows, _ = await self._predict(first)
            yield rows

    def timings(self) -> TimelineTimings:
        """Where the time went so far."""
        now = time.perf_counter()
        seconds = {
            "upload": self.accepted.upload_seconds,
            "queue": self.decoded_at - self.begin - self.decoded.seconds,
            "decode": self.decoded.seconds,
            "inference": now - self.decoded_at,
            "total": self.accepted.upload_seconds + now - self.begin,
        }
        return TimelineTimings(**milliseconds(seconds))

    async def _predict(self, first: int) -> tuple[list[TimelineRow], str]:
        """Rows from one window on, as many as the model takes at once, and the model's version."""
        media, last = self.decoded, first + self.accepted.model.max_batch_size
        tensors = {name: array[first:last] for name, array in media.tensors.items()}
        outputs = await infer(tensors, self.accepted)
        rows = [
            timeline_row(
                outputs, row, media.observation(first + row), start=window.start, end=window.start + window.length
            )
            for row, window in enumerate(media.windows[first:last])
        ]
        return rows, outputs.model_version


async def decode_timeline(accepted: Accepted[bytes], step: float) -> TimelinePredictor:
    """Decode a clip into windows.

    The settings limit how many timelines are decoded at once: each keeps a worker for seconds, and short clips should
    not wait for long ones.

    Args:
        accepted: The request with the file.
        step: Seconds between the starts of two windows.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    services, deadline = accepted.services, accepted.deadline
    task = DecodeTask(
        "timeline", [accepted.upload], accepted.model.crop, step=step, longest=services.settings.timeline_seconds
    )
    try:
        async with asyncio.timeout(deadline.remaining()), services.timeline_slots:
            decoded = await services.pool.run(task, deadline=deadline, timeout=deadline.remaining())
    except TimeoutError:
        raise DeadlineExceededError(
            f"The timeline was not decoded within {deadline.seconds:g} s, the limit; the server is busy."
        ) from None
    return TimelinePredictor(accepted, decoded, step, begin)
