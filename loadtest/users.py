"""Users that Locust runs: closed-loop ones send again when they are answered, the open-loop one does not wait.

Requests are made before the run. An answer counts when its body is right; a 429 is counted apart, as refusing in time
is what a full server should do.
"""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Callable
from typing import Any, cast

import gevent
import gevent.pool
from gevent.lock import BoundedSemaphore
from geventhttpclient import HTTPClient
from locust import User, constant, events, task
from locust.contrib.fasthttp import FastHttpUser

from avemotion.client.direct import TritonClient
from avemotion.client.errors import ClientError
from avemotion.client.sampling import Sampling, sample_clip
from avemotion.preprocessing.clip import read_clip
from loadtest.clips import LoadClip, load_clips
from loadtest.consistency import FirstAnswers
from loadtest.payloads import Payload, multipart
from loadtest.recorder import REFUSED
from loadtest.shapes import poisson

BATCH = 4
OPEN_LOOP_LIMIT = 500
"""Requests of the open-loop user that may be on their way; more would measure this machine's memory."""

_TIMEOUT = 60.0


class Stock:
    """Everything that is made before a run, once for all users of a process."""

    def __init__(self) -> None:
        self.clips: list[LoadClip] = []
        self.whole: list[tuple[str, Payload]] = []
        self.batches: list[tuple[list[str], Payload]] = []
        self.timelines: list[tuple[str, Payload]] = []
        self.sampled: list[tuple[str, Payload]] = []
        self.tensors: list[tuple[str, dict[str, Any]]] = []
        self.first_answers = FirstAnswers()

    def fill(self, endpoints: list[str], sampling: Sampling | None) -> None:
        """Make the requests of these endpoints.

        Args:
            endpoints: Their names, as in `USERS`.
            sampling: How the gateway wants samples; needed for `sampled`.
        """
        clips = self.clips = load_clips()
        self.whole = [(clip.name, multipart("/predict", [_part("file", clip)])) for clip in clips]
        if "batch" in endpoints:
            for first in range(len(clips)):
                chosen = [clips[(first + offset) % len(clips)] for offset in range(BATCH)]
                form = multipart("/predict/batch", [_part("files", clip) for clip in chosen])
                self.batches.append(([clip.name for clip in chosen], form))
        if "timeline" in endpoints:
            self.timelines = [(clip.name, multipart("/predict/timeline", [_part("file", clip)])) for clip in clips]
        if "sampled" in endpoints and sampling is not None:
            for clip in clips:
                taken = sample_clip(clip.data, sampling)
                parts = [("frames", "image/jpeg", jpeg) for jpeg in taken.frames]
                parts += [("audio", "audio/wav", taken.audio)] if taken.audio is not None else []
                self.sampled.append((f"{clip.name} sampled", multipart("/predict/sampled", parts)))
        if "triton" in endpoints:
            self.tensors = [(clip.name, read_clip(clip.data).tensors()) for clip in clips]


stock = Stock()


def _part(name: str, clip: LoadClip) -> tuple[str, str, bytes]:
    return name, "application/octet-stream", clip.data


class GatewayUser(FastHttpUser):
    """Base of the users of the REST API."""

    abstract = True
    wait_time = constant(0)
    network_timeout = connection_timeout = _TIMEOUT

    def ask(self, payload: Payload, check: Callable[[str], str | None]) -> None:
        """Send a request and check its response.

        Args:
            payload: The request.
            check: Returns what is wrong with a response's body, or None.
        """
        name = payload.path.removeprefix("/")
        headers = {"Content-Type": payload.content_type}
        with self.client.post(
            payload.path, data=cast(str, payload.body), headers=headers, name=name, catch_response=True
        ) as response:
            if response.status_code == 429:
                response.request_meta["name"] += REFUSED
                response.success()
            elif response.status_code != 200:
                response.failure(f"{response.status_code or 'no answer'}: {(response.text or '')[:200]}")
            elif problem := check(response.text or ""):
                response.failure(problem)
            else:
                response.success()


class PredictUser(GatewayUser):
    """Uploads clips to `/predict`."""

    @task
    def predict(self) -> None:
        """One clip."""
        clip, payload = random.choice(stock.whole)  # noqa: S311 (load, not secrets)
        self.ask(payload, lambda body: stock.first_answers.prediction(clip, body))


class BatchUser(GatewayUser):
    """Uploads several clips at once to `/predict/batch`."""

    @task
    def batch(self) -> None:
        """One batch."""
        clips, payload = random.choice(stock.batches)  # noqa: S311 (load, not secrets)
        self.ask(payload, lambda body: stock.first_answers.batch(clips, body))


class TimelineUser(GatewayUser):
    """Uploads clips to `/predict/timeline`."""

    @task
    def timeline(self) -> None:
        """One timeline."""
        clip, payload = random.choice(stock.timelines)  # noqa: S311 (load, not secrets)
        self.ask(payload, lambda body: stock.first_answers.timeline(clip, body))


class SampledUser(GatewayUser):
    """Sends samples to `/predict/sampled`."""

    @task
    def sampled(self) -> None:
        """One sampled clip."""
        clip, payload = random.choice(stock.sampled)  # noqa: S311 (load, not secrets)
        self.ask(payload, lambda body: stock.first_answers.prediction(clip, body))


class TritonUser(User):
    """Sends tensors straight to Triton over gRPC."""

    wait_time = constant(0)

    def on_start(self) -> None:
        """Open a connection of its own."""
        options = self.environment.parsed_options
        assert options is not None  # noqa: S101 (for the type checker)
        self._triton = TritonClient(options.triton, model=options.model, timeout=_TIMEOUT)

    def on_stop(self) -> None:
        """Close it."""
        self._triton.close()

    @task
    def infer(self) -> None:
        """One inference."""
        clip, tensors = random.choice(stock.tensors)  # noqa: S311 (load, not secrets)
        begin = time.perf_counter()
        problem: Exception | None = None
        try:
            outputs = self._triton.infer(tensors)
        except ClientError as error:
            problem = error
        milliseconds = 1000 * (time.perf_counter() - begin)
        if problem is None:
            wrong = stock.first_answers.outputs(f"{clip} direct", outputs)
            problem = AssertionError(wrong) if wrong else None
        events.request.fire(
            request_type="gRPC",
            name="triton",
            response_time=milliseconds,
            response_length=0,
            exception=problem,
            context={},
        )


class OpenLoopUser(User):
    """Sends clips at random times that do not depend on the answers, as many independent people do (Poisson).

    The time of an answer counts from when its request was meant to be sent, so that a server that stalls is charged
    for everybody who would have come meanwhile (Tene's "coordinated omission").
    """

    fixed_count = 1

    @task
    def send(self) -> None:
        """Send until the run ends, which ends this task."""
        options = self.environment.parsed_options
        assert options is not None  # noqa: S101 (for the type checker)
        slots = BoundedSemaphore(OPEN_LOOP_LIMIT)
        rng = random.Random(options.seed)  # noqa: S311 (load, not secrets)
        requests = itertools.cycle(stock.sampled or stock.whole)
        pool = gevent.pool.Group()
        try:
            for intended in poisson(rng, options.rate, time.perf_counter()):
                gevent.sleep(max(0.0, intended - time.perf_counter()))
                clip, payload = next(requests)
                if not slots.acquire(blocking=False):
                    report_open_loop(payload, 0.0, TimeoutError(f"{OPEN_LOOP_LIMIT} requests are on their way"))
                    continue
                greenlet = pool.spawn(send_at, str(self.host), clip, payload, intended)
                greenlet.link(lambda _: slots.release())
        finally:
            pool.kill()


def send_at(host: str, clip: str, payload: Payload, intended: float) -> None:
    """Send a request that was meant to be sent at `intended`, and report how long it took from then on."""
    client = HTTPClient.from_url(host, network_timeout=_TIMEOUT, connection_timeout=_TIMEOUT)
    problem: Exception | None = None
    refused = False
    try:
        response = client.post(payload.path, payload.body, {"Content-Type": payload.content_type})
        text = response.read().decode()
        refused = response.status_code == 429
        if response.status_code != 200 and not refused:
            problem = AssertionError(f"{response.status_code}: {text[:200]}")
        elif not refused and (wrong := stock.first_answers.prediction(clip, text)):
            problem = AssertionError(wrong)
    except (OSError, ValueError) as error:
        problem = error
    finally:
        client.close()
    report_open_loop(payload, 1000 * (time.perf_counter() - intended), problem, refused=refused)


def report_open_loop(
    payload: Payload, milliseconds: float, problem: Exception | None, *, refused: bool = False
) -> None:
    """Tell Locust of an answer of the open-loop user."""
    events.request.fire(
        request_type="POST",
        name=payload.path.removeprefix("/") + REFUSED * refused,
        response_time=milliseconds,
        response_length=0,
        exception=problem,
        context={},
    )


USERS: dict[str, type[User]] = {
    "predict": PredictUser,
    "batch": BatchUser,
    "timeline": TimelineUser,
    "sampled": SampledUser,
    "triton": TritonUser,
    "open": OpenLoopUser,
}
"""Users by the name of what they ask."""
