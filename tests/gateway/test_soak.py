"""Crowds of clients, good and bad: every good one is answered right, every bad one refused, and nothing is left.

Small here; `make soak` runs the full sizes and prints what it measured.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.gateway import raw, soak
from tests.gateway.models import MODEL
from tests.gateway.running import gateway_process, wait_ready, wait_until
from tests.gateway.soak import MEBIBYTE, Watched
from tests.support.triton import serving

pytestmark = pytest.mark.timeout(3600)

HEAD_TIMEOUT = 2.0
UPLOAD_TIMEOUT = 6.0


@dataclass(frozen=True)
class Sizes:
    """How many clients there are of each kind."""

    half_uploads: int
    dawdlers: int
    bad: int
    good: int
    flat: int
    large_uploads: int
    large_bytes: int
    upload_memory: int


SMALL = Sizes(100, 20, 170, 30, 60, 6, 4 * MEBIBYTE, 16 * MEBIBYTE)
FULL = Sizes(1000, 200, 10_000, 1000, 10_000, 30, 38 * MEBIBYTE, 256 * MEBIBYTE)


@pytest.fixture(scope="module")
def sizes(request: pytest.FixtureRequest) -> Sizes:
    return FULL if request.config.getoption("--full-size") else SMALL


@pytest.fixture(scope="module")
def gateway(model_repository: Path, sizes: Sizes, clip: bytes) -> Iterator[Watched]:
    """A gateway process before a real Triton, warm."""
    with serving(model_repository) as server:
        variables = {
            "EMO_MODEL": MODEL,
            "EMO_TRITON_GRPC_PORT": str(server.options.grpc_port),
            "EMO_DECODE_WORKERS": "2",
            "EMO_HEAD_TIMEOUT": str(HEAD_TIMEOUT),
            "EMO_UPLOAD_TIMEOUT": str(UPLOAD_TIMEOUT),
            "EMO_UPLOAD_MEMORY": str(sizes.upload_memory),
            "EMO_LOG_LEVEL": "warning",
        }
        with gateway_process(**variables) as running:
            wait_ready(running.client)
            for _ in range(20):
                running.client.post("/predict", files={"file": ("clip", clip)}).raise_for_status()
            yield Watched(running.process.pid, running.client)


def report(what: str, **figures: object) -> None:
    """Print what was measured, for whoever runs it with `-s`."""
    print(f"\n{what}: {json.dumps(figures, default=str)}")


def test_bad_requests_among_good_ones(gateway: Watched, sizes: Sizes, clip: bytes) -> None:
    kinds = soak.bad_cases(clip)
    cases = [soak.good_case(clip)] * sizes.good + [kinds[number % len(kinds)] for number in range(sizes.bad)]
    tally = asyncio.run(soak.ask_all(gateway.address, cases, at_once=8))
    report("bad among good", right=dict(tally.right), wrong=dict(tally.wrong), holding=gateway.holding())
    assert tally.wrong == {}
    assert tally.right["good"] == sizes.good
    assert len(tally.answers) == 1
    gateway.wait_until_nothing_is_left()


def test_clients_that_send_half_and_go(gateway: Watched, sizes: Sizes, clip: bytes) -> None:
    good = soak.good_case(clip)

    async def run() -> soak.Tally:
        ended = asyncio.Event()
        answered = asyncio.create_task(soak.ask_until(gateway.address, good, ended))
        places = asyncio.Semaphore(100)

        async def come_and_go(number: int) -> None:
            async with places:
                await soak.go_half_way(gateway.address, good.request, polite=number % 2 == 0)

        await asyncio.gather(*(come_and_go(number) for number in range(sizes.half_uploads)))
        ended.set()
        return await answered

    tally = asyncio.run(run())
    gateway.wait_until_nothing_is_left()
    report("half uploads", good=dict(tally.right), wrong=dict(tally.wrong), holding=gateway.holding())
    assert tally.wrong == {}
    assert tally.right["good"] >= 1
    assert len(tally.answers) == 1


def test_dawdlers_are_refused_and_delay_nobody(gateway: Watched, sizes: Sizes, clip: bytes) -> None:
    head, body = raw.head(1000), raw.PART_HEAD + b"a" * 900

    async def run() -> tuple[list[int], soak.Tally]:
        ended = asyncio.Event()
        answered = asyncio.create_task(soak.ask_until(gateway.address, soak.good_case(clip), ended))
        statuses = await asyncio.gather(
            *(
                soak.dawdle(gateway.address, head[:20], head[20:], 0.5)
                if number % 2
                else soak.dawdle(gateway.address, head, body, 0.5)
                for number in range(sizes.dawdlers)
            )
        )
        ended.set()
        return statuses, await answered

    statuses, tally = asyncio.run(run())
    gateway.wait_until_nothing_is_left()
    report("dawdlers", statuses=len(statuses), good=dict(tally.right), wrong=dict(tally.wrong))
    assert set(statuses) == {408}
    assert tally.wrong == {}
    assert tally.right["good"] >= 1


def test_large_uploads_hold_no_more_than_they_may(gateway: Watched, sizes: Sizes, clip: bytes) -> None:
    before = gateway.mebibytes()

    async def run() -> tuple[list[int], float]:
        ended = asyncio.Event()
        holding = [
            asyncio.create_task(soak.hold_upload(gateway.address, sizes.large_bytes, ended))
            for _ in range(sizes.large_uploads)
        ]
        highest = 0.0
        for _ in range(15):
            await asyncio.sleep(0.2)
            highest = max(highest, gateway.mebibytes())
        ended.set()
        return await asyncio.gather(*holding), highest

    statuses, highest = asyncio.run(run())
    gateway.wait_until_nothing_is_left()
    limit = sizes.upload_memory / MEBIBYTE
    after = gateway.mebibytes()
    report("large uploads", limit=limit, before=before, highest=highest, after=after, statuses=statuses)
    assert statuses.count(429) >= sizes.large_uploads - sizes.upload_memory // sizes.large_bytes
    assert statuses.count(0) >= 1, "those that fit are let in"
    assert highest - before < 1.5 * limit + 32
    assert gateway.client.post("/predict", files={"file": ("clip", clip)}).status_code == 200


def test_memory_is_flat_over_many_requests(gateway: Watched, sizes: Sizes, clip: bytes) -> None:
    steps = 10
    case = soak.good_case(clip)
    levels = []
    for _ in range(steps):
        tally = asyncio.run(soak.ask_all(gateway.address, [case] * (sizes.flat // steps), at_once=2))
        assert tally.wrong == {}
        levels.append(gateway.mebibytes())
    gateway.wait_until_nothing_is_left()
    report("memory over requests", requests=sizes.flat, mebibytes=levels, holding=gateway.holding())
    assert max(levels[5:]) < 1.1 * max(levels[:5]) + 8


def test_gateway_is_ready_after_all_this(gateway: Watched) -> None:
    wait_until(lambda: gateway.client.get("/health/ready").status_code == 200, "ready")
    report("in the end", baseline=gateway.baseline, holding=gateway.holding())
