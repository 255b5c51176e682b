"""The synchronous client of the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from avemotion.api.predictions import BatchResult, PredictResponse
from avemotion.api.service import ContractResponse, HealthResponse, ModelEntry, ReadyResponse
from avemotion.api.timeline import RowLine, StartLine, TimelineResponse
from avemotion.client import calls
from avemotion.client.calls import ADDRESS, TIMEOUT, Call, Choice, ClipSource, RetryBudget, key_header
from avemotion.client.errors import UnreachableError, needs_extra

if TYPE_CHECKING:
    from avemotion.client.sampling import Sampling

T = TypeVar("T")


class EmotionClient:
    """Client of a gateway. It keeps connections open, is a context manager, and may be shared by threads."""

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        wait_when_busy: float = 0.0,
    ) -> None:
        """Prepare; nothing is sent yet.

        Args:
            address: The gateway's URL.
            api_key: Key, if the gateway requires one.
            timeout: Longest silence of the gateway, in seconds.
            wait_when_busy: Seconds that one call may wait in total, as `Retry-After` asks, while the gateway is busy
                or unavailable; 0 raises at once.
        """
        import httpx  # noqa: PLC0415 (see the docstring of `calls`)

        self._http = httpx.Client(base_url=address, timeout=timeout, headers=key_header(api_key))
        self._wait_when_busy = wait_when_busy
        self._sampling: Sampling | None = None

    def predict(
        self,
        clip: ClipSource,
        *,
        explain: bool = False,
        model: str | None = None,
        version: str | None = None,
        deadline: float | None = None,
    ) -> PredictResponse:
        """Estimate which emotion a clip expresses.

        Args:
            clip: The clip's bytes, or its path.
            explain: Request the probabilities in plain words.
            model: Name of a model; None for the gateway's default.
            version: Version of the model; None for the newest.
            deadline: Seconds after which the answer is of no more use.

        Raises:
            RefusedError: The gateway answered with an error.
            UnreachableError: No connection, or no answer in time.
        """
        return self._send(calls.predict(clip, Choice(model, version, deadline), explain=explain))

    def predict_sampled(
        self, clip: ClipSource, *, model: str | None = None, version: str | None = None, deadline: float | None = None
    ) -> PredictResponse:
        """Estimate the same from eight frames and three seconds of sound: the clip never leaves this machine.

        Raises:
            MediaError: The clip cannot be read here.
            MissingExtraError: The extra `media` is not installed.
        """
        with needs_extra("media"):
            from avemotion.client.sampling import Sampling, sample_clip  # noqa: PLC0415 (needs an extra)

        if self._sampling is None:
            self._sampling = Sampling.of_contract(self.contract())
        sampled = sample_clip(clip if isinstance(clip, bytes) else Path(clip), self._sampling)
        return self._send(calls.predict_sampled(sampled, Choice(model, version, deadline)))

    def predict_batch(
        self,
        clips: Sequence[ClipSource],
        *,
        model: str | None = None,
        version: str | None = None,
        deadline: float | None = None,
    ) -> list[BatchResult]:
        """Predict several clips at once; each succeeds or fails alone."""
        return self._send(calls.predict_batch(clips, Choice(model, version, deadline)))

    def timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> TimelineResponse:
        """Predict windows all along a clip.

        Args:
            clip: The clip's bytes, or its path.
            step: Seconds between the starts of two windows; None for the gateway's default.
            model: Name of a model; None for the gateway's default.
            version: Version of the model; None for the newest.
        """
        return self._send(calls.timeline(clip, Choice(model, version), step=step))

    def stream_timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> Iterator[StartLine | RowLine]:
        """Predict windows all along a clip, and yield each row as soon as it is computed.

        Yields:
            First a line with labels and length, then a line for each window.
        """
        request = calls.stream_timeline(clip, Choice(model, version), step=step).request(self._http)
        with calls.unreachable_if_broken(request):
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise calls.refusal(response)
                for text in response.iter_lines():
                    line = calls.timeline_line(text)
                    if line is None:
                        return
                    yield line
            finally:
                response.close()
        raise UnreachableError(f"{request.url} broke off before the end of the timeline.")

    def models(self) -> list[ModelEntry]:
        """The models that can be selected."""
        return self._send(calls.models())

    def contract(self) -> ContractResponse:
        """Sizes, times and limits of the gateway."""
        return self._send(calls.contract())

    def health(self) -> HealthResponse:
        """Liveness of the gateway."""
        return self._send(calls.health())

    def ready(self) -> ReadyResponse:
        """Readiness: a recent inference succeeded.

        Raises:
            RefusedError: It is not ready; the message says why.
        """
        return self._send(calls.ready())

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _send(self, call: Call[T]) -> T:
        budget = RetryBudget(self._wait_when_busy)
        while True:
            request = call.request(self._http)
            with calls.unreachable_if_broken(request):
                response = self._http.send(request)
            pause = budget.pause_after(response)
            if pause is None:
                return call.result(response)
            time.sleep(pause)
