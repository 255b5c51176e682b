"""What the gateway adds to decoding and inference: latency of one request, and throughput below the upper bound.

Overhead is the time that a client waits, less the decoding and the inference that the answer reports: the way over
loopback, the form, the queue, moving data to a decode worker and back, and the answer.

The upper bound is decoding and inference on every core without a server: each core reads the clip as the gateway does
on one thread and runs the model in batches. All cores work at the same time, because they share caches, memory
bandwidth and, on many clouds, a power budget.
"""

from __future__ import annotations

import multiprocessing
import os
import statistics
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any, Final, Self

import numpy as np

from avemotion.preprocessing.clip import read_clip
from benchmarks.driver import Outcome, drive
from benchmarks.measuring import percentile
from benchmarks.models import BATCH, committed_model, infer, session
from benchmarks.results import FOLDER, Section, section, short, table
from benchmarks.serving import OURS
from benchmarks.turns import Turns, by_turns, medians, paired, server_turns, suspended_servers
from benchmarks.workloads import MEANINGS, RECORDING, clip, payload
from loadtest.servers import ours, running

BUDGET_MS: Final = 10
"""Milliseconds that the gateway may add to a recording, at the median."""

STAGES: Final = ("waited", "upload", "queue", "decode", "inference", "overhead", "overhead p95")
_WARM_UP: Final = 10
_TIMEOUT: Final = 120.0
"""Seconds within which all processes of the upper bound must have started, or finished their last batch."""


def measure(requests: int, rounds: int, seconds: float) -> Section:
    """Measure this checkout's gateway.

    Args:
        requests: Number of requests of each clip, one at a time.
        rounds: How often the saturated gateway and the upper bound take turns.
        seconds: Length of a turn.
    """
    with running(ours("overhead"), payload(RECORDING), log=FOLDER / "logs" / "overhead.log") as server:
        rows = []
        for name in MEANINGS:
            request = [payload(name)]
            drive(server.address, request, clients=1, requests=_WARM_UP)
            rows.append((name, *stages(drive(server.address, request, clients=1, requests=requests)).values()))
    bound, gateway, share, interval = _saturated(rounds, seconds)
    return section(
        "What the gateway adds",
        f"Milliseconds of one client, medians of {requests} requests. *Overhead* is the time waited less decoding and "
        f"inference; at most {BUDGET_MS} ms are allowed for the recording. The upper bound of throughput is decoding "
        f"and inference on all cores without a server: {short(bound[1])} recordings per second. The saturated gateway "
        f"answers {short(gateway[1])}, a share of {share:.3f} ({interval}, {rounds} rounds).",
        table(("clip", *STAGES), rows),
        table(("saturated with the recording", "per s", "CPU ms"), [bound, gateway], on_page=False),
    )


def stages(outcome: Outcome) -> dict[str, float]:
    """Median milliseconds of each of `STAGES`, from answers to one client.

    Raises:
        RuntimeError: A request failed.
    """
    if outcome.failures:
        raise RuntimeError(f"requests failed, by status: {dict(outcome.failures)}")
    found = {"waited": statistics.median(outcome.milliseconds())}
    for stage in ("upload", "queue", "decode", "inference"):
        found[stage] = statistics.median(response.timings()[stage] for response in outcome.responses)
    overheads = outcome.overheads()
    return found | {"overhead": statistics.median(overheads), "overhead p95": percentile(overheads, 0.95)}


def _saturated(rounds: int, seconds: float) -> tuple[list[Any], list[Any], float, str]:
    """Name, clips per second and CPU ms of the upper bound and of the gateway; the gateway's share and its interval."""
    bound = UpperBound(committed_model(), clip(RECORDING), seconds)
    with bound, suspended_servers([ours(OURS)]) as (server,):
        turns: Turns = {("upper bound", RECORDING): bound.measure}
        turns |= server_turns(OURS, server, {RECORDING: payload(RECORDING)}, seconds, requests=1)
        found = {name: by[RECORDING] for name, by in by_turns(turns, rounds).items()}
    share, interval = paired(found[OURS], found["upper bound"], "per_second")
    most, mine = ([name, *map(medians(rows).get, ("per_second", "server_cpu_ms"))] for name, rows in found.items())
    return most, mine, share, interval


class UpperBound:
    """A pool with a process for each core, idle between its turns."""

    def __init__(self, model: Path, recording: bytes, seconds: float) -> None:
        """Start the processes.

        Args:
            model: The ONNX file.
            recording: The clip.
            seconds: Length of a measurement.
        """
        self._seconds = seconds
        self._cores = len(os.sched_getaffinity(0))
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(self._cores)
        self._pool = ProcessPoolExecutor(self._cores, context, _prepare, (barrier, model, recording))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def measure(self) -> dict[str, float]:
        """Read the clip and run the model on every core, over and over.

        Returns:
            `per_second`, clips per second on all cores together, and `server_cpu_ms`, CPU milliseconds of each.
        """
        working = [self._pool.submit(_work, self._seconds) for _ in range(self._cores)]
        rates, cpu = zip(*(future.result(_TIMEOUT + self._seconds) for future in working), strict=True)
        return {"per_second": sum(rates), "server_cpu_ms": 1000 * statistics.mean(cpu)}


_prepared: dict[str, Any] = {}


def _prepare(barrier: Barrier, model: Path, recording: bytes) -> None:
    batch = {key: np.repeat(array, BATCH, axis=0) for key, array in read_clip(recording).tensors().items()}
    _prepared.update(barrier=barrier, recording=recording, session=session(model), batch=batch)


def _work(seconds: float) -> tuple[float, float]:
    """The work of one core: clips per second, and CPU seconds of each. At least one batch is completed."""
    _prepared["barrier"].wait(_TIMEOUT)  # all cores begin together, and none works for two
    begin, cpu, done = time.perf_counter(), time.process_time(), 0
    while not done or time.perf_counter() < begin + seconds:
        for _ in range(BATCH):
            read_clip(_prepared["recording"])
        infer(_prepared["session"], _prepared["batch"])
        done += BATCH
    return done / (time.perf_counter() - begin), (time.process_time() - cpu) / done
