"""The asynchronous client of the gateway: the same calls, sent without blocking the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from avemotion.client import calls
from avemotion.client.answers import BatchItem, ModelEntry, Prediction, Timeline, TimelineRow, TimelineStart
from avemotion.client.calls import Call, Choice, ClipSource
from avemotion.client.errors import UnreachableError
from avemotion.client.rest import ADDRESS, TIMEOUT, key_header, unreachable
from avemotion.client.retries import RetryBudget
from avemotion.client.sampling import Sampling, sample_clip

T = TypeVar("T")


class AsyncEmotionClient:
    """Asks a gateway; `EmotionClient` explains every call. Files are read and sampled in a thread."""

    def __init__(
        self,
        address: str = ADDRESS,
        *,
        api_key: str | None = None,
        timeout: float = TIMEOUT,
        wait_when_busy: float = 0.0,
    ) -> None:
        """Prepare; the arguments are those of `EmotionClient`."""
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
    ) -> Prediction:
        """Estimate which emotion a clip expresses."""
        choice = Choice(model, version, deadline)
        return await self._send(await asyncio.to_thread(calls.predict, clip, choice, explain=explain))

    async def predict_sampled(
        self, clip: ClipSource, *, model: str | None = None, version: str | None = None, deadline: float | None = None
    ) -> Prediction:
        """The same from pictures and sound taken here: the clip never leaves this machine."""
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
    ) -> list[BatchItem]:
        """Predict several clips at once; each succeeds or fails alone."""
        choice = Choice(model, version, deadline)
        return await self._send(await asyncio.to_thread(calls.predict_batch, clips, choice))

    async def timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> Timeline:
        """Predict windows all along a clip."""
        return await self._send(await asyncio.to_thread(calls.timeline, clip, Choice(model, version), step=step))

    async def stream_timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> AsyncIterator[TimelineStart | TimelineRow]:
        """The same, row by row as they are computed; the first item tells labels and length."""
        call = await asyncio.to_thread(calls.stream_timeline, clip, Choice(model, version), step=step)
        request = call.request(self._http)
        try:
            response = await self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    await response.aread()
                    raise calls.refusal(response)
                async for line in response.aiter_lines():
                    event = calls.timeline_event(line)
                    if event is None:
                        return
                    yield event
            finally:
                await response.aclose()
        except httpx.TransportError as error:
            raise unreachable(request, error) from error
        raise UnreachableError(f"{request.url} broke off before the end of the timeline.")

    async def models(self) -> list[ModelEntry]:
        """What can be asked for."""
        return await self._send(calls.models())

    async def contract(self) -> dict[str, Any]:
        """Sizes, times and limits that the gateway works by."""
        return await self._send(calls.contract())

    async def health(self) -> dict[str, Any]:
        """Whether the gateway lives."""
        return await self._send(calls.health())

    async def ready(self) -> dict[str, Any]:
        """Whether the model answers; raises `RefusedError` while it does not."""
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
            try:
                response = await self._http.send(request)
            except httpx.TransportError as error:
                raise unreachable(request, error) from error
            pause = budget.pause_after(response)
            if pause is None:
                return call.result(response)
            await asyncio.sleep(pause)
