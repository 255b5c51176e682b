"""The closed-loop load driver: clients that send prepared requests and wait for each response.

It shares the machine with the server that it measures, so it must cost next to nothing. Load tests, which check every
answer and draw charts, run on Locust (`loadtest/`), whose milliseconds of CPU per request would distort the figures.
"""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from benchmarks.measuring import cpu_seconds, percentile
from loadtest.payloads import Payload

_TIMEOUT: Final = 60.0


class Response(NamedTuple):
    """HTTP status (0 if the connection broke), body, and seconds from sending the request to the last byte received."""

    status: int
    body: bytes
    seconds: float

    def timings(self) -> dict[str, float]:
        """Milliseconds that the answer reports, by stage; empty if it reports none."""
        return dict(json.loads(self.body).get("timings_ms", {}))


def post(connection: HTTPConnection, payload: Payload) -> Response:
    """Send a request over a keep-alive connection, which is opened again if it broke, and read the response."""
    try:
        if connection.sock is None:
            connection.connect()
        begin = time.perf_counter()
        connection.request("POST", payload.path, payload.body, {"Content-Type": payload.content_type})
        response = connection.getresponse()
        return Response(response.status, response.read(), time.perf_counter() - begin)
    except (OSError, HTTPException):
        connection.close()
        return Response(0, b"", 0.0)


@dataclass(frozen=True)
class Outcome:
    """The result of a load.

    Attributes:
        seconds: Length of the measured time.
        responses: Responses with status 200 that arrived in the measured time.
        uncounted: Number of those that arrived before or after it.
        failures: Number of all other responses by status.
        server_cpu: CPU seconds of the server's processes, from the first request to the last response.
        client_cpu: CPU seconds of this process over the same time.
    """

    seconds: float
    responses: list[Response]
    uncounted: int
    failures: Counter[int]
    server_cpu: float
    client_cpu: float

    def milliseconds(self) -> list[float]:
        """Latency of each answer."""
        return [1000 * response.seconds for response in self.responses]

    def overheads(self) -> list[float]:
        """Milliseconds of each answer's latency that were neither decoding nor inference; empty if it tells neither."""
        timed = [(1000 * response.seconds, response.timings()) for response in self.responses]
        return [waited - row["decode"] - row["inference"] for waited, row in timed if {"decode", "inference"} <= {*row}]

    def summary(self) -> dict[str, float]:
        """The figures that are reported: answers per second, times in milliseconds, CPU per answer, failures."""
        times = self.milliseconds() or [float("inf")]
        answers = max(1, len(self.responses) + self.uncounted)
        return {
            "per_second": len(self.responses) / self.seconds,
            "p50_ms": statistics.median(times),
            "p95_ms": percentile(times, 0.95),
            "server_cpu_ms": 1000 * self.server_cpu / answers,
            "driver_cpu_ms": 1000 * self.client_cpu / answers,
            "failed": sum(self.failures.values()),
        }


def drive(
    address: str,
    payloads: Sequence[Payload],
    *,
    clients: int,
    seconds: float = float("inf"),
    ramp: float = 0.0,
    requests: int = 2**62,
    server_pid: int | None = None,
) -> Outcome:
    """Send payloads in turn from several clients; each waits for its response before it sends again.

    Args:
        address: The server's URL.
        payloads: The requests.
        clients: Number of concurrent clients.
        seconds: Length of the measured time; answers that arrive later do not count.
        ramp: Seconds before the measured time. An idle server answers nothing at first, and requests in flight at the
            end do not count, so without a ramp the throughput comes out too low.
        requests: Largest number of requests.
        server_pid: Root of the server's process tree, whose CPU time is taken.
    """
    lock = threading.Lock()
    numbers = iter(range(requests))
    counted: list[Response] = []
    failures: Counter[int] = Counter()
    uncounted = 0
    begin = time.perf_counter() + ramp
    end = begin + seconds

    def client(_: int) -> None:
        nonlocal uncounted
        with closing(HTTPConnection(urlsplit(address).netloc, timeout=_TIMEOUT)) as connection:
            while time.perf_counter() < end:
                with lock:
                    number = next(numbers, None)
                if number is None:
                    break
                response = post(connection, payloads[number % len(payloads)])
                with lock:
                    if response.status != 200:
                        failures[response.status] += 1
                    elif begin <= time.perf_counter() <= end:
                        counted.append(response)
                    else:
                        uncounted += 1

    server_cpu, client_cpu = cpu_seconds(server_pid), time.process_time()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(client, range(clients)))  # raises what a client raised
    seconds = min(time.perf_counter(), end) - begin
    client_cpu, server_cpu = time.process_time() - client_cpu, cpu_seconds(server_pid) - server_cpu
    return Outcome(seconds, counted, uncounted, failures, server_cpu, client_cpu)
