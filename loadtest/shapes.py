"""How many users there are when, and when requests are sent that wait for nobody: functions of time alone."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """A stretch of a run with the same number of users.

    Attributes:
        users: How many.
        seconds: For how long.
    """

    users: int
    seconds: float


def smoke(users: int, seconds: float) -> list[Step]:  # noqa: ARG001 (one of a kind)
    """One user: does everything work at all?"""
    return [Step(1, seconds)]


def step(users: int, seconds: float) -> list[Step]:
    """Twice as many users in every step, up to the most: where does throughput end and waiting begin?"""
    counts = []
    count = 1
    while count < users:
        counts.append(count)
        count *= 2
    counts.append(users)
    return [Step(count, seconds / len(counts)) for count in counts]


def spike(users: int, seconds: float) -> list[Step]:
    """One user, suddenly all, and one again: is overload refused in time, and over when it is over?"""
    return [Step(1, seconds * 0.25), Step(users, seconds * 0.35), Step(1, seconds * 0.4)]


def soak(users: int, seconds: float) -> list[Step]:
    """Half of the users for the whole time, in ten steps: does anything grow?"""
    return [Step(max(1, users // 2), seconds / 10)] * 10


SHAPES: dict[str, Callable[[int, float], Sequence[Step]]] = {
    "smoke": smoke,
    "step": step,
    "spike": spike,
    "soak": soak,
}


def at(steps: Sequence[Step], time: float) -> int | None:
    """Index of the step at a time since the start, in seconds; None after the last."""
    end = 0.0
    for index, one in enumerate(steps):
        end += one.seconds
        if time < end:
            return index
    return None


def poisson(rng: random.Random, rate: float, start: float) -> Iterator[float]:
    """Times of a Poisson process.

    Args:
        rng: Source of chance.
        rate: Mean number a second.
        start: Where time begins.
    """
    time_of_next = start
    while True:
        time_of_next += rng.expovariate(rate)
        yield time_of_next
