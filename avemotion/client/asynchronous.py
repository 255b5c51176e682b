"""The asynchronous client of the gateway: the same calls, sent without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
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


class AsyncEmotionClient:
    """Client of a gateway; `EmotionClient` describes every call. Files are read and sampled in a thread."""

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        wait_when_busy: float = 0.0,
    ) -> None:
        """Prepare; the arguments are those of `EmotionClient`."""
        import httpx  # noqa: PLC0415 (see the docstring of `calls`)

        self._http = httpx.AsyncClient(base_url=address, timeout=timeout, headers=key_header(api_key))
        self._wait_when_busy = wait_when_busy
        self._sampling: Sampling | None = None

    async def predict(
        self,
        clip: ClipSource,
        *,
        explain: bool = False,
        model: str | None = None,
        version: str | None = None,
        deadline: float | None = None,
    ) -> PredictResponse:
        """Estimate which emotion a clip expresses."""
        choice = Choice(model, version, deadline)
        return await self._send(await asyncio.to_thread(calls.predict, clip, choice, explain=explain))

    async def predict_sampled(
        self, clip: ClipSource, *, model: str | None = None, version: str | None = None, deadline: float | None = None
    ) -> PredictResponse:
        """Estimate the same from eight frames and three seconds of sound: the clip never leaves this machine."""
        with needs_extra("media"):
            from avemotion.client.sampling import Sampling, sample_clip  # noqa: PLC0415 (needs an extra)

        if self._sampling is None:
            self._sampling = Sampling.of_contract(await self.contract())
        source = clip if isinstance(clip, bytes) else Path(clip)
        sampled = await asyncio.to_thread(sample_clip, source, self._sampling)
        return await self._send(calls.predict_sampled(sampled, Choice(model, version, deadline)))

    async def predict_batch(
        self,
        clips: Sequence[ClipSource],
        *,
        model: str | None = None,
        version: str | None = None,
        deadline: float | None = None,
    ) -> list[BatchResult]:
        """Predict several clips at once; each succeeds or fails alone."""
        choice = Choice(model, version, deadline)
        return await self._send(await asyncio.to_thread(calls.predict_batch, clips, choice))

    async def timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> TimelineResponse:
        """Predict windows all along a clip."""
        return await self._send(await asyncio.to_thread(calls.timeline, clip, Choice(model, version), step=step))

    async def stream_timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> AsyncIterator[StartLine | RowLine]:
        """Predict windows all along a clip, and yield each row as soon as it is computed."""
        call = await asyncio.to_thread(calls.stream_timeline, clip, Choice(model, version), step=step)
        request = call.request(self._http)
        with calls.unreachable_if_broken(request):
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise calls.refusal(response)
                async for text in response.aiter_lines():
                    line = calls.timeline_line(text)
                    if line is None:
                        return
                    yield line
            finally:
                await response.aclose()
        raise UnreachableError(f"{request.url} broke off before the end of the timeline.")

    async def models(self) -> list[ModelEntry]:
        """The models that can be selected."""
        return await self._send(calls.models())

    async def contract(self) -> ContractResponse:
        """Sizes, times and limits of the gateway."""
        return await self._send(calls.contract())

    async def health(self) -> HealthResponse:
        """Liveness of the gateway."""
        return await self._send(calls.health())

    async def ready(self) -> ReadyResponse:
        """Readiness: a recent inference succeeded; raises `RefusedError` if not."""
        return await self._send(calls.ready())

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def _send(self, call: Call[T]) -> T:
        budget = RetryBudget(self._wait_when_busy)
        while True:
            request = call.request(self._http)
            with calls.unreachable_if_broken(request):
                response = await self._http.send(request)
            pause = budget.pause_after(response)
            if pause is None:
                return call.result(response)
            await asyncio.sleep(pause)
