"""The synchronous client of the gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx

from avemotion.client import calls
from avemotion.client.answers import BatchItem, ModelEntry, Prediction, Timeline, TimelineRow, TimelineStart
from avemotion.client.calls import Call, Choice, ClipSource
from avemotion.client.errors import UnreachableError
from avemotion.client.retries import RetryBudget
from avemotion.client.sampling import Sampling, sample_clip

T = TypeVar("T")

ADDRESS = "http://127.0.0.1:8000"
TIMEOUT = 60.0


class EmotionClient:
    """Asks a gateway. Connections are kept; use it as a context manager, and from several threads if you like."""

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
            api_key: Key, where the gateway wants one.
            timeout: Longest silence of the gateway, in seconds.
            wait_when_busy: Seconds that one call may spend in all waiting as `Retry-After` asks when the gateway is
                busy or away; 0 raises at once.
        """
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
    ) -> Prediction:
        """Estimate which emotion a clip expresses.

        Args:
            clip: The clip's bytes, or its path.
            explain: Ask for a plain-language reading of the probabilities.
            model: Name of a model; the gateway's default where None.
            version: Version of the model; the newest where None.
            deadline: Seconds after which the answer is of no more use.

        Raises:
            RefusedError: The gateway says why not.
            UnreachableError: There is no gateway, or it is too slow.
        """
        return self._send(calls.predict(clip, Choice(model, version, deadline), explain=explain))

    def predict_sampled(
        self, clip: ClipSource, *, model: str | None = None, version: str | None = None, deadline: float | None = None
    ) -> Prediction:
        """The same from eight pictures and three seconds of sound taken here: the clip never leaves this machine.

        Raises:
            MediaError: The clip cannot be read here.
        """
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
    ) -> list[BatchItem]:
        """Predict several clips at once; each succeeds or fails alone."""
        return self._send(calls.predict_batch(clips, Choice(model, version, deadline)))

    def timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> Timeline:
        """Predict windows all along a clip.

        Args:
            clip: The clip's bytes, or its path.
            step: Seconds from one window to the next; the gateway's default where None.
            model: Name of a model.
            version: Version of the model.
        """
        return self._send(calls.timeline(clip, Choice(model, version), step=step))

    def stream_timeline(
        self, clip: ClipSource, *, step: float | None = None, model: str | None = None, version: str | None = None
    ) -> Iterator[TimelineStart | TimelineRow]:
        """The same, row by row as they are computed; the first item tells labels and length."""
        request = calls.stream_timeline(clip, Choice(model, version), step=step).request(self._http)
        try:
            response = self._http.send(request, stream=True)
            try:
                if not response.is_success:
                    response.read()
                    raise calls.refusal(response)
                for line in response.iter_lines():
                    event = calls.timeline_event(line)
                    if event is None:
                        return
                    yield event
            finally:
                response.close()
        except httpx.TransportError as error:
            raise unreachable(request, error) from error
        raise UnreachableError(f"{request.url} broke off before the end of the timeline.")

    def models(self) -> list[ModelEntry]:
        """What can be asked for."""
        return self._send(calls.models())

    def contract(self) -> dict[str, Any]:
        """Sizes, times and limits that the gateway works by."""
        return self._send(calls.contract())

    def health(self) -> dict[str, Any]:
        """Whether the gateway lives."""
        return self._send(calls.health())

    def ready(self) -> dict[str, Any]:
        """Whether the model answers; raises `RefusedError` while it does not."""
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
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                raise unreachable(request, error) from error
            pause = budget.pause_after(response)
            if pause is None:
                return call.result(response)
            time.sleep(pause)


def key_header(api_key: str | None) -> dict[str, str]:
    """The header that carries an API key."""
    return {} if api_key is None else {"X-API-Key": api_key}


def unreachable(request: httpx.Request, error: httpx.TransportError) -> UnreachableError:
    """The exception for a transport that failed."""
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "cannot be reached"
    return UnreachableError(f"{request.url} {what} ({error or type(error).__name__}).")
