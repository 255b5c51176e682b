"""The gRPC channel to Triton: load is spread, a lost server costs what it had in hand, nothing is executed twice."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import grpc
import numpy as np
import pytest

from gateway.deadlines import Deadline
from gateway.errors import ModelUnavailableError
from gateway.predict.predictor import ModelDescription, random_tensors
from gateway.predict.triton import TritonPredictor
from tests.gateway.fake_triton import FakeTriton, fake_triton
from tests.gateway.models import MODEL
from tests.gateway.proxy import proxy
from tests.gateway.running import PATIENCE
from tests.support.triton import free_ports

Result = TypeVar("Result")

TENSORS = random_tensors(np.random.default_rng(7))


def with_channel(use: Callable[[TritonPredictor], Coroutine[Any, Any, Result]], *ports: int) -> Result:
    """Use a predictor that knows Triton by one name with these addresses."""

    async def run() -> Result:
        predictor = TritonPredictor("ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports), MODEL)
        await predictor.start()
        try:
            return await use(predictor)
        finally:
            await predictor.stop()

    return asyncio.run(run())


async def ask(predictor: TritonPredictor, seconds: float = 10.0) -> str:
    """One inference: `ok`, or what went wrong."""
    try:
        await predictor.predict(
            TENSORS, ModelDescription(MODEL, None, "face", max_batch_size=16), Deadline.after(seconds)
        )
    except ModelUnavailableError as error:
        return error.message
    return "ok"


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def until_ok(predictor: TritonPredictor) -> None:
    deadline = time.monotonic() + PATIENCE
    while await ask(predictor) != "ok":
        assert time.monotonic() < deadline
        await asyncio.sleep(0.05)


async def until_both_answer(predictor: TritonPredictor, one: FakeTriton, other: FakeTriton) -> None:
    async with asyncio.timeout(PATIENCE):
        while not (one.executed and other.executed):
            await ask(predictor)
    one.executed = one.asked = other.executed = other.asked = 0


def test_load_is_spread_over_all_addresses() -> None:
    with fake_triton() as one, fake_triton() as other:

        async def use(predictor: TritonPredictor) -> None:
            await until_both_answer(predictor, one, other)
            assert set(await asyncio.gather(*(ask(predictor) for _ in range(40)))) == {"ok"}

        with_channel(use, one.port, other.port)
        assert one.executed + other.executed == 40
        assert min(one.executed, other.executed) >= 15


def test_server_that_dies_costs_at_most_what_it_had_in_hand() -> None:
    with fake_triton() as one, fake_triton() as other, proxy(one.port) as wire:

        async def use(predictor: TritonPredictor) -> list[str]:
            await until_both_answer(predictor, one, other)
            one.hold.clear()
            other.hold.clear()
            in_hand = [asyncio.create_task(ask(predictor)) for _ in range(10)]
            await until(lambda: one.executed + other.executed == 10)
            wire.stop_listening()
            wire.cut()
            other.hold.set()
            answers = await asyncio.gather(*in_hand)
            assert answers.count("ok") == other.executed
            # From here on nothing fails: the lost address is left out.
            assert {await ask(predictor) for _ in range(30)} == {"ok"}
            return answers

        answers = with_channel(use, wire.port, other.port)
        one.hold.set()
    assert 1 <= len(answers) - answers.count("ok") <= one.executed


def test_call_whose_connection_is_cut_is_not_executed_again() -> None:
    with fake_triton() as fake, proxy(fake.port) as wire:

        async def use(predictor: TritonPredictor) -> None:
            await until_ok(predictor)
            fake.executed = 0
            fake.hold.clear()
            answer = asyncio.create_task(ask(predictor))
            await until(lambda: fake.executed == 1)
            wire.cut()
            assert await answer == "Triton cannot be reached."
            assert fake.executed == 1
            fake.hold.set()
            await until_ok(predictor)

        with_channel(use, wire.port)


def test_call_that_a_draining_server_refuses_is_answered_by_another() -> None:
    with fake_triton() as draining, fake_triton() as other:

        async def use(predictor: TritonPredictor) -> list[str]:
            await until_both_answer(predictor, draining, other)
            draining.refusal = grpc.StatusCode.NOT_FOUND
            return [await ask(predictor) for _ in range(10)]

        assert with_channel(use, draining.port, other.port) == ["ok"] * 10
    assert draining.asked >= 3
    assert (draining.executed, other.executed) == (0, 10)


def test_model_that_is_nowhere_is_asked_for_a_few_times_only() -> None:
    with fake_triton() as fake:
        fake.refusal = grpc.StatusCode.NOT_FOUND

        async def use(predictor: TritonPredictor) -> str:
            return await ask(predictor)

        assert with_channel(use, fake.port).startswith(f"Triton has no model '{MODEL}' ready")
    assert fake.asked == 3


@pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL])
def test_other_failures_are_not_tried_again(status: grpc.StatusCode) -> None:
    with fake_triton() as fake:
        fake.refusal = status

        async def use(predictor: TritonPredictor) -> str:
            return await ask(predictor)

        assert with_channel(use, fake.port) != "ok"
    assert fake.asked == 1


def test_deadline_reaches_the_call_and_the_queue() -> None:
    with fake_triton() as fake:
        fake.hold.clear()

        async def use(predictor: TritonPredictor) -> str:
            return await ask(predictor, 0.4)

        assert "within 0.4 s" in with_channel(use, fake.port)
        assert 0 < fake.timeouts[0] <= 400_000


def test_cancelling_a_prediction_cancels_the_call() -> None:
    with fake_triton() as fake:
        fake.hold.clear()

        async def use(predictor: TritonPredictor) -> None:
            answer = asyncio.create_task(ask(predictor))
            await until(lambda: fake.executed == 1)
            answer.cancel()
            await until(lambda: fake.cancelled == 1)

        with_channel(use, fake.port)


def test_server_that_comes_later_or_again_is_found() -> None:
    [port] = free_ports(1)

    async def use(predictor: TritonPredictor) -> None:
        assert await ask(predictor) == "Triton cannot be reached."
        for _ in range(2):
            with fake_triton(port):
                await until_ok(predictor)
            assert await ask(predictor) != "ok"

    with_channel(use, port)


def test_connection_that_passes_nothing_on_is_given_up_in_time_and_left() -> None:
    with fake_triton() as fake, proxy(fake.port) as wire:

        async def use(predictor: TritonPredictor) -> None:
            await until_ok(predictor)
            wire.freeze()
            assert "within 0.5 s" in await ask(predictor, 0.5)
            wire.cut()
            await until_ok(predictor)

        with_channel(use, wire.port)
