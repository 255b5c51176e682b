"""What Locust loads: `locust -f loadtest/locustfile.py --host …`, by hand or by `python -m loadtest`.

Options beginning with `--emo-` belong to this file. Results of each step go to the file of `--emo-summary`, with what
gateway and Triton say of themselves; everything else (web page, CSV, HTML, several machines) is Locust's own.
"""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

import grpc.experimental.gevent as grpc_gevent
from locust import LoadTestShape, User, events
from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

from avemotion.client.rest import EmotionClient
from avemotion.client.sampling import Sampling
from avemotion.preprocessing.errors import EmotionError
from loadtest.recorder import REFUSED, Answer, summarise
from loadtest.scraping import gateway_stages, rounded, scrape, triton_stages
from loadtest.shapes import SHAPES, Step, at
from loadtest.users import USERS, BatchUser, OpenLoopUser, PredictUser, SampledUser, TimelineUser, TritonUser, stock

__all__ = ["BatchUser", "OpenLoopUser", "PredictUser", "ProductShape", "SampledUser", "TimelineUser", "TritonUser"]

grpc_gevent.init_gevent()

ENDPOINTS = ("predict", "sampled")
_SPAWN_RATE = 100.0

answers: list[Answer] = []
steps: list[dict[str, Any]] = []


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    """The options of this file."""
    add = parser.add_argument
    add("--emo-shape", dest="shape", choices=[*SHAPES], default="smoke", help="how the number of users changes")
    add("--emo-users", dest="peak", type=int, default=4, help="most users at once")
    add("--emo-seconds", dest="seconds", type=float, default=60.0, help="length of the run")
    add("--emo-endpoints", dest="endpoints", default=",".join(ENDPOINTS), help=f"of {', '.join(USERS)}")
    add("--emo-rate", dest="rate", type=float, default=5.0, help="requests a second of the open-loop user")
    add("--emo-seed", dest="seed", type=int, default=0, help="seed of the open-loop user's times")
    add("--emo-triton", dest="triton", default="127.0.0.1:8001", help="host and port of Triton's gRPC service")
    add("--emo-triton-metrics", dest="triton_metrics", default="", help="URL of Triton's metrics, if it is in reach")
    add("--emo-model", dest="model", default="emotion_int8", help="model that the gRPC user asks")
    add("--emo-summary", dest="summary", default="", help="file for the figures, JSON")


class ProductShape(LoadTestShape):
    """The shape that `--emo-shape` names, with the users that `--emo-endpoints` names."""

    def __init__(self) -> None:
        super().__init__()
        self._steps: list[Step] = []
        self._current: int | None = None
        self._before: tuple[float, int, Any, Any] | None = None

    def tick(self) -> tuple[int, float, list[type[User]]] | None:
        """Users at this time; also notices when a step ends."""
        options = self._options()
        if not self._steps:
            self._steps = list(SHAPES[options.shape](options.peak, options.seconds))
        index = at(self._steps, self.get_run_time())
        if index != self._current:
            self._close_step(options)
            self._current = index
            if index is not None:
                self._before = (time.time(), len(answers), *self._scrape(options))
        if index is None:
            return None
        classes = [USERS[name] for name in options.endpoints.split(",")]
        return max(self._steps[index].users, len(classes)), _SPAWN_RATE, classes

    def _close_step(self, options: Namespace) -> None:
        if self._before is None or self._current is None:
            return
        begin, first, gateway, triton = self._before
        gateway_now, triton_now = self._scrape(options)
        steps.append(
            {
                "users": self._steps[self._current].users,
                "seconds": time.time() - begin,
                "endpoints": summarise(answers[first:], time.time() - begin),
                "gateway_ms": rounded(gateway_stages(gateway, gateway_now)),
                "triton_ms": rounded(triton_stages(triton, triton_now)),
            }
        )
        self._before = None

    def _scrape(self, options: Namespace) -> tuple[Any, Any]:
        triton = scrape(options.triton_metrics) if options.triton_metrics else None
        return scrape(f"{options.host}/metrics"), triton

    def _options(self) -> Namespace:
        assert self.runner is not None  # noqa: S101 (for the type checker)
        options: Namespace | None = self.runner.environment.parsed_options
        assert options is not None  # noqa: S101 (for the type checker)
        return options


@events.init.add_listener
def prepare(environment: Environment, **_: Any) -> None:  # noqa: ANN401 (Locust's)
    """Make the requests before time begins; Locust would go on without them after an exception, but not after this."""
    options = environment.parsed_options
    assert options is not None  # noqa: S101 (for the type checker)
    names = options.endpoints.split(",")
    try:
        sampling = None
        if "sampled" in names:
            with EmotionClient(str(options.host)) as gateway:
                sampling = Sampling.of_contract(gateway.contract())
        stock.fill(names, sampling)
    except EmotionError as error:
        sys.exit(error.message)


@events.request.add_listener
def record(name: str, response_time: float, exception: BaseException | None, **_: Any) -> None:  # noqa: ANN401 (Locust's)
    """Keep every answer."""
    refused = name.endswith(REFUSED)
    answers.append(
        Answer(time.time(), name.removesuffix(REFUSED), float(response_time), refused, exception is not None)
    )


@events.quitting.add_listener
def write_summary(environment: Environment, **_: Any) -> None:  # noqa: ANN401 (Locust's)
    """Write what was measured; objectives, and not Locust, decide the exit code."""
    options = environment.parsed_options
    assert options is not None  # noqa: S101 (for the type checker)
    environment.process_exit_code = 0
    if options.summary:
        seconds = sum(step["seconds"] for step in steps)
        body = {
            "host": options.host,
            "shape": options.shape,
            "clips": [clip.name for clip in stock.clips],
            "seconds": seconds,
            "endpoints": summarise(answers, seconds) if answers else {},
            "steps": steps,
            "failures": sorted({str(error.error) for error in environment.stats.errors.values()})[:20],
        }
        Path(options.summary).write_text(json.dumps(body, indent=1) + "\n")
