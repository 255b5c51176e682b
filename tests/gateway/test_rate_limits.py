"""How often one caller may ask."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from pydantic import ValidationError

from gateway.errors import RateLimitedError
from gateway.keys import hash_key
from gateway.rate_limits import RateLimits
from gateway.settings import Settings
from tests.gateway.running import running_gateway, settings_for_tests


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
