"""A longer clip as a sequence of windows: decoded once, predicted in batches, answered row by row."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from avemotion.api.timeline import TimelineHead, TimelineRow, TimelineTimings
from avemotion.preprocessing.contract import LABELS, WINDOW_SECONDS
from gateway.answers import milliseconds, modalities_of, scores
from gateway.decode.messages import DecodeTask
from gateway.decode.pool import DecodeResult
from gateway.errors import DeadlineExceededError
from gateway.http.context import Accepted
from gateway.predict.clips import infer
from gateway.services import Services

SMALLEST_STEP: Final = 0.5
"""Smallest time between the starts of two windows, in seconds: they then share five sixths."""

LARGEST_STEP: Final = 1.0
"""Largest time between the starts of two windows, in seconds."""


class TimelinePredictor:
    """Predicts the windows of a decoded clip, batch by batch.

    Attributes:
        head: What holds for all rows; set by `predict_first`.
    """

    def __init__(
        self, accepted: Accepted[bytes], services: Services, decoded: DecodeResult, step: float, *, begin: float
    ) -> None:
        """Prepare; `start_timeline` predicts the first batch.

        Args:
            accepted: The request.
            services: The running gateway.
            decoded: The windows.
            step: Seconds between the starts of two windows.
            begin: When work began, on the clock of `time.perf_counter`.
        """
        self.head: TimelineHead
        self._accepted = accepted
        self._services = services
        self._decoded = decoded
        self._step = step
        self._begin = begin
        self._decoded_at = time.perf_counter()
        self._first: list[TimelineRow] = []

    async def predict_first(self) -> None:
        """Predict the first batch, so that a request that cannot be answered fails before its response begins.

        Raises:
            ModelUnavailableError: The model does not answer.
        """
        self._first, version = await self._predict(0)
        self.head = TimelineHead(
            labels=list(LABELS),
            duration=round(self._decoded.media.duration, 3),
            step=self._step,
            window_seconds=WINDOW_SECONDS,
            model=self._accepted.model.name,
            model_version=version,
            request_id=self._accepted.request_id,
        )

    async def batches(self) -> AsyncIterator[list[TimelineRow]]:
        """The rows in order, a batch at a time.

        Raises:
            ModelUnavailableError: The model stopped answering.
        """
        yield self._first
        windows = len(self._decoded.media.windows)
        for first in range(len(self._first), windows, self._accepted.model.max_batch_size):
            rows, _ = await self._predict(first)
            yield rows

    def timings(self) -> TimelineTimings:
        """Where the time went so far."""
        now = time.perf_counter()
        seconds = {
            "upload": self._accepted.upload_seconds,
            "queue": self._decoded_at - self._begin - self._decoded.media.seconds,
            "decode": self._decoded.media.seconds,
            "inference": now - self._decoded_at,
            "total": self._accepted.upload_seconds + now - self._begin,
        }
        return TimelineTimings(**milliseconds(seconds))

    async def _predict(self, first: int) -> tuple[list[TimelineRow], str]:
        """Rows from one window on, as many as the model takes at once, and the model's version."""
        media, last = self._decoded.media, first + self._accepted.model.max_batch_size
        tensors = {name: array[first:last] for name, array in media.tensors.items()}
        prediction = await infer(tensors, self._accepted, self._services)
        rows = [
            TimelineRow(
                start=round(window.start, 3),
                end=round(window.start + window.length, 3),
                **scores(prediction, row),
                modalities=modalities_of(media.tensors["present"][first + row].tolist()),
            )
            for row, window in enumerate(media.windows[first:last])
        ]
        return rows, prediction.model_version


async def start_timeline(accepted: Accepted[bytes], services: Services, step: float) -> TimelinePredictor:
    """Decode a clip into windows, and predict the first batch of them.

    The settings limit how many timelines are decoded at once: each keeps a worker for seconds, and short clips should
    not wait for long ones.

    Args:
        accepted: The request with the file.
        services: The running gateway.
        step: Seconds between the starts of two windows.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    deadline = accepted.deadline
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
    timeline = TimelinePredictor(accepted, services, decoded, step, begin=begin)
    await timeline.predict_first()
    return timeline
