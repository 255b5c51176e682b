"""A longer clip as a row of windows: decoded once, the windows in batches, each row told as soon as it is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Final

from avemotion.api.timeline import TimelineHead, TimelineRow, TimelineTimings
from avemotion.preprocessing.contract import LABELS, WINDOW_SECONDS
from avemotion.preprocessing.timeline import Timeline
from gateway.answers import milliseconds, modalities_of, scores
from gateway.decode_worker import decode_timeline
from gateway.decoding import DecodeResult
from gateway.errors import DeadlineExceededError
from gateway.intake import Intake
from gateway.services import Services
from gateway.uploaded_file import UploadedFile

SMALLEST_STEP: Final = 0.5
"""Smallest time between the starts of two windows, in seconds: they then share five sixths."""

LARGEST_STEP: Final = 1.0
"""Largest time between the starts of two windows, in seconds."""


class StartedTimeline:
    """A clip that is cut into windows, of which the first batch is predicted: what can go wrong early, has not.

    Attributes:
        head: What holds for all rows.
    """

    def __init__(
        self, intake: Intake[UploadedFile], services: Services, decoded: DecodeResult[Timeline], *, begin: float
    ) -> None:
        """Take note; `start_timeline` makes the object whole.

        Args:
            intake: The request.
            services: The running gateway.
            decoded: The windows.
            begin: When work began, on the clock of `time.perf_counter`.
        """
        self.head: TimelineHead
        self._intake = intake
        self._services = services
        self._decoded = decoded
        self._begin = begin
        self._decoded_at = time.perf_counter()
        self._first: list[TimelineRow] = []

    async def predict_first(self) -> None:
        """Predict the first batch, which tells who answers.

        Raises:
            ModelUnavailableError: Nobody does.
        """
        self._first, version = await self._predict(0)
        timeline = self._decoded.value
        self.head = TimelineHead(
            labels=list(LABELS),
            duration=round(timeline.duration, 3),
            step=timeline.step,
            window_seconds=WINDOW_SECONDS,
            model=self._intake.model.name,
            model_version=version,
            request_id=self._intake.request_id,
        )

    async def batches(self) -> AsyncIterator[list[TimelineRow]]:
        """The rows in order, a batch at a time.

        Raises:
            ModelUnavailableError: The model stopped answering.
        """
        yield self._first
        for first in range(len(self._first), len(self._decoded.value.windows), self._intake.model.max_batch_size):
            rows, _ = await self._predict(first)
            yield rows

    def timings(self) -> TimelineTimings:
        """Where the time went until now."""
        now = time.perf_counter()
        seconds = {
            "upload": self._intake.upload_seconds,
            "queue": self._decoded_at - self._begin - self._decoded.seconds,
            "decode": self._decoded.seconds,
            "inference": now - self._decoded_at,
            "total": self._intake.upload_seconds + now - self._begin,
        }
        return TimelineTimings(**milliseconds(seconds))

    async def _predict(self, first: int) -> tuple[list[TimelineRow], str]:
        """Rows from one window on, as many as the model takes at once, and its version."""
        intake, services, timeline = self._intake, self._services, self._decoded.value
        last = first + intake.model.max_batch_size
        deadline = intake.deadline.within(services.settings.inference_timeout)
        prediction = await services.predictor.predict(timeline.tensors(first, last), intake.model, deadline)
        if intake.is_default:
            services.readiness.answered(prediction)
        rows = [
            TimelineRow(
                start=round(window.start, 3),
                end=round(window.start + window.length, 3),
                **scores(prediction, row),
                modalities=modalities_of(window.present.tolist()),
            )
            for row, window in enumerate(timeline.windows[first:last])
        ]
        return rows, prediction.model_version


async def start_timeline(intake: Intake[UploadedFile], services: Services, step: float) -> StartedTimeline:
    """Cut a clip into windows, and predict the first of them.

    No more clips are cut at once than the settings say: each keeps a worker for seconds, and short clips should not
    wait for long ones.

    Args:
        intake: The request with the file.
        services: The running gateway.
        step: Seconds between the starts of two windows.

    Raises:
        EmotionError: A subclass says why there is no answer.
    """
    begin = time.perf_counter()
    settings, deadline = services.settings, intake.deadline
    try:
        async with asyncio.timeout(deadline.remaining()), services.timeline_turns:
            decoded = await services.pool.run(
                decode_timeline,
                intake.upload,
                step,
                settings.timeline_seconds,
                intake.model.crop,
                settings.media_limits(deadline.expires),
                deadline=deadline,
                timeout=deadline.remaining(),
            )
    except TimeoutError:
        raise DeadlineExceededError(
            f"The clip was not cut into windows within {deadline.seconds:g} s, the limit for a timeline; the server is "
            "busy."
        ) from None
    started = StartedTimeline(intake, services, decoded, begin=begin)
    await started.predict_first()
    return started
