"""How often one caller may ask."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest
from pydantic import ValidationError

from gateway.auth.keys import hash_key
from gateway.auth.rate_limits import RateLimits
from gateway.errors import RateLimitedError
from gateway.settings import Settings
from tests.gateway.running import PATIENCE, running_gateway, settings_for_tests, wait_until
from tests.gateway.test_metrics import samples, value
from tests.support.tools import tool
from tests.support.triton import free_ports


def statuses(gateway: httpx.Client, clip: bytes, count: int, **headers: str) -> list[int]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return [gateway.post("/predict", files={"file": ("clip", clip)}, headers=named).status_code for _ in range(count)]


def test_address_that_asks_too_often_waits_as_long_as_it_is_told(clip: bytes) -> None:
    with running_gateway(settings_for_tests(rate_limit_per_address="2/hour")) as gateway:
        assert statuses(gateway, clip, 2) == [200, 200]
        response = gateway.post("/predict", files={"file": ("clip", clip)})
        assert (response.status_code, response.json()["error"]["code"]) == (429, "rate_limited")
        assert 0 < int(response.headers["Retry-After"]) <= 3600
        assert "2 per 1 hour" in response.json()["error"]["message"]
        assert gateway.get("/health").status_code == 200


def test_each_key_has_a_limit_of_its_own(clip: bytes) -> None:
    entries = [f"{name}:{hash_key(name)}" for name in ("one", "two")]
    with running_gateway(settings_for_tests(api_keys=entries, rate_limit_per_key="1/hour")) as gateway:
        assert statuses(gateway, clip, 2, X_API_Key="one") == [200, 429]
        assert statuses(gateway, clip, 2, X_API_Key="two") == [200, 429]


def test_wrong_keys_count_against_their_address(clip: bytes) -> None:
    settings = settings_for_tests(api_keys=[f"one:{hash_key('one')}"], rate_limit_per_address="3/hour")
    with running_gateway(settings) as gateway:
        assert statuses(gateway, clip, 4, X_API_Key="guess") == [401, 401, 401, 429]


def test_addresses_are_told_apart_and_a_network_of_ipv6_is_one() -> None:
    limits = RateLimits(Settings(rate_limit_per_address="1/hour"))

    async def count(*addresses: str) -> int:
        passed = 0
        for address in addresses:
            with suppress(RateLimitedError):
                await limits.count_address(address)
                passed += 1
        return passed

    async def count_all() -> list[int]:
        return [
            await count("192.0.2.1", "192.0.2.2", "192.0.2.1"),
            await count("2001:db8::1", "2001:db8::ffff", "2001:db8:0:1::1"),
        ]

    assert asyncio.run(count_all()) == [2, 2]


@pytest.mark.parametrize("limit", ["often", "10", "-1/minute", "1/fortnight"])
def test_limit_that_cannot_be_read_is_refused(limit: str) -> None:
    with pytest.raises(ValidationError):
        Settings(rate_limit_per_key=limit)


@contextmanager
def redis_server(port: int, folder: Path) -> Iterator[None]:
    """A real Redis on a port of loopback, while the context is open."""
    program = tool("redis-server")
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", str(folder)]
    with subprocess.Popen([program, *options], stdout=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _listens(port), "Redis listens")
            yield
        finally:
            process.kill()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def test_gateways_that_share_redis_count_together_and_go_on_without_it(clip: bytes, tmp_path: Path) -> None:
    [port] = free_ports(1)
    settings = settings_for_tests(
        rate_limit_per_address="3/hour", rate_limit_storage=f"redis://127.0.0.1:{port}/0", decode_workers=2
    )
    with running_gateway(settings) as one, running_gateway(settings) as other:
        with redis_server(port, tmp_path):
            assert statuses(one, clip, 2) == [200, 200]
            assert statuses(other, clip, 2) == [200, 429]
            assert statuses(one, clip, 1) == [429]
            assert value(samples(one), "emotion_rate_limit_storage_away") == 0
        # Each has a count of its own now, which begins at zero.
        assert statuses(one, clip, 4) == [200, 200, 200, 429]
        assert statuses(other, clip, 4) == [200, 200, 200, 429]
        assert value(samples(one), "emotion_rate_limit_storage_away") == 1


def test_redis_that_hangs_costs_one_request_a_moment(caplog: pytest.LogCaptureFixture) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"redis://:secret@127.0.0.1:{silent.getsockname()[1]}/0"
        limits = RateLimits(Settings(rate_limit_per_address="1/hour", rate_limit_storage=url))

        async def count() -> list[bool]:
            passed = []
            for _ in range(2):
                try:
                    await limits.count_address("192.0.2.1")
                    passed.append(True)
                except RateLimitedError:
                    passed.append(False)
            await limits.stop()
            return passed

        begin = time.monotonic()
        assert asyncio.run(count()) == [True, False]
        assert time.monotonic() - begin < PATIENCE
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "secret" not in caplog.text


def test_redis_that_comes_back_counts_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("gateway.auth.rate_limits._REDIS_PAUSE", 0.1)
    [port] = free_ports(1)
    settings = Settings(rate_limit_per_key="100/hour", rate_limit_storage=f"redis://127.0.0.1:{port}/0")

    async def count() -> None:
        limits = RateLimits(settings)
        seen = []
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await limits.count_key("one")
                seen.append(limits.storage_is_away)
                with redis_server(port, tmp_path):
                    while seen[-1]:
                        await asyncio.sleep(0.02)
                        await limits.count_key("one")
                        seen.append(limits.storage_is_away)
                    await limits.stop()
        assert (seen[0], seen[-1]) == (True, False)

    asyncio.run(count())


@pytest.mark.parametrize("storage", ["", "disk", "http://127.0.0.1", "redis:", "redis:///x"])
def test_storage_that_is_none_is_refused(storage: str) -> None:
    with pytest.raises(ValidationError, match="memory"):
        Settings(rate_limit_storage=storage)
