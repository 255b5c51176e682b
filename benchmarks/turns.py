"""Measurements by turns: contenders alternate in short rounds, so that a change of the machine affects all alike.

What is compared are the ratios within a round, not figures that were taken minutes apart. While one server is measured
the others are suspended, because some use CPU even when idle.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Final

from benchmarks.driver import drive
from benchmarks.measuring import resumed, suspended
from benchmarks.results import FOLDER
from benchmarks.workloads import RECORDING, payload
from loadtest.payloads import Payload
from loadtest.servers import Contender, Running, running, wait_until

CLIENTS: Final = 8
"""Concurrent clients that saturate a server."""

_RAMP_SECONDS: Final = 1.0
_RECOVERY_SECONDS: Final = 60.0

Row = dict[str, float]
"""Figures of one round, by name."""

Rounds = dict[str, dict[str, list[Row]]]
"""Figures by contender, clip and round."""


Turns = dict[tuple[str, str], Callable[[], Row]]
"""Measurements of one round, by contender and clip."""


def by_turns(turns: Turns, rounds: int) -> Rounds:
    """Measure contenders alternately, one clip after the other, in reverse order every other round.

    Args:
        turns: The measurements.
        rounds: How often each is called.
    """
    found: Rounds = {}
    order = sorted(turns, key=lambda turn: turn[1])  # stable: measurements of a clip follow each other
    for number in range(rounds):
        for name, clip in order if number % 2 == 0 else reversed(order):
            found.setdefault(name, {}).setdefault(clip, []).append(turns[name, clip]())
        print(f"round {number + 1} of {rounds}", flush=True)
    return {name: found[name] for name in dict.fromkeys(name for name, _ in turns)}


def medians(rows: Sequence[Row]) -> Row:
    """The median of each figure over the rounds."""
    return {key: statistics.median(row[key] for row in rows) for key in rows[0]}


def paired(mine: Sequence[Row], theirs: Sequence[Row], key: str) -> tuple[float, str]:
    """The median ratio mine / theirs of a figure over the rounds, and its 95 % interval in words.

    The interval is that of order statistics (sign test), which assumes nothing about the noise and needs six rounds.
    """
    pairs = [(one[key], other[key]) for one, other in zip(mine, theirs, strict=True)]
    ratios = sorted(one / other if other else math.inf for one, other in pairs)
    count = len(ratios)
    tail, rank = 0.0, 0  # probability that at most `rank` - 1 ratios lie below the true median
    while (tail := tail + math.comb(count, rank) / 2**count) <= 0.025:
        rank += 1
    interval = (
        f"95 % interval {ratios[rank - 1]:.3f} to {ratios[-rank]:.3f}" if rank else "too few rounds for an interval"
    )
    return statistics.median(ratios), interval


def server_turns(name: str, server: Running, payloads: Mapping[str, Payload], seconds: float, requests: int) -> Turns:
    """Measurements of a suspended server.

    Args:
        name: Its name in reports.
        server: The server.
        payloads: Requests by clip.
        seconds: Length of a saturated measurement.
        requests: Number of requests of a measurement with one client.

    Returns:
        Measurements by clip; figures named `alone_…` are those of one client, the others those of `CLIENTS`.
    """
    return {(name, clip): partial(_measure, server, one, seconds, requests) for clip, one in payloads.items()}


def _measure(server: Running, payload: Payload, seconds: float, requests: int) -> Row:
    address, pid, payloads = server.address, server.pid, [payload]
    with resumed(pid):
        wait_until(
            lambda: not drive(address, payloads, clients=1, requests=2).failures,
            f"{server.name} answers {payload.path} with 200",
            _RECOVERY_SECONDS,
        )
        drive(address, payloads, clients=CLIENTS, requests=CLIENTS)  # wakes all workers
        alone = drive(address, payloads, clients=1, requests=requests, server_pid=pid)
        loaded = drive(address, payloads, clients=CLIENTS, seconds=seconds, ramp=_RAMP_SECONDS, server_pid=pid)
    if failures := alone.failures + loaded.failures:
        print(f"{server.name}: failed, by status: {dict(failures)}", flush=True)
    row = loaded.summary() | {"failed": float(failures.total())}
    row |= {"alone_p50_ms": alone.summary()["p50_ms"], "alone_cpu_ms": alone.summary()["server_cpu_ms"]}
    if overheads := alone.overheads():
        row["alone_overhead_ms"] = statistics.median(overheads)
    return row


@contextmanager
def suspended_servers(contenders: Sequence[Contender]) -> Iterator[list[Running]]:
    """Start servers, which are suspended until their turn."""
    with ExitStack() as stack:
        servers = []
        for one in contenders:
            log = FOLDER / "logs" / f"{one.name.replace(', ', '-').replace(' ', '-')}.log"
            servers.append(stack.enter_context(running(one, payload(RECORDING), log=log)))
            stack.enter_context(suspended(servers[-1].pid))
        yield servers
