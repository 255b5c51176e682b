"""Rate limits by API key and by network address.

Requests are counted in this process, or in a Redis that several gateways share. While Redis is unreachable or slow,
each gateway counts alone: a limit that is loose for a while is better than an outage, and better than no limit. Behind
a trusted proxy, the address is the one that the proxy forwards.
"""

from __future__ import annotations

import ipaddress
import logging
import math
import time
from typing import Final

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.storage.redis import RedisStorage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.errors import StorageError

from gateway.errors import RateLimitedError
from gateway.settings import Settings

logger = logging.getLogger(__name__)

_IPV6_PREFIX: Final = 64
"""A household or a server usually owns a whole /64 of IPv6 addresses, so it counts as one address."""

_REDIS_TIMEOUT: Final = 0.25
"""Longest wait for Redis, in seconds; one request pays it, then Redis is left out for a while."""

_REDIS_PAUSE: Final = 5.0
"""Time until an unreachable Redis is tried again, in seconds."""

_KEY_PREFIX: Final = "emotion"
"""Prefix of the keys in Redis, which may be shared with other services."""


class RateLimits:
    """Counts recent requests."""

    def __init__(self, settings: Settings) -> None:
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._redis = None if settings.rate_limit_storage == "memory" else _open_redis(settings.rate_limit_storage)
        self._shared = None if self._redis is None else MovingWindowRateLimiter(self._redis)
        self._shared_from = 0.0
        self._per_key = _parsed(settings.rate_limit_per_key)
        self._per_address = _parsed(settings.rate_limit_per_address)

    async def count_key(self, name: str) -> None:
        """Count a request of a key.

        Raises:
            RateLimitedError: It was one too many.
        """
        await self._count(self._per_key, "API key", name)

    async def count_address(self, address: str) -> None:
        """Count a request from an address.

        Raises:
            RateLimitedError: It was one too many.
        """
        await self._count(self._per_address, "address", _network(address))

    @property
    def storage_is_away(self) -> bool:
        """Whether this gateway counts alone although the settings name a Redis."""
        return self._shared is not None and time.monotonic() < self._shared_from

    async def stop(self) -> None:
        """Close the connections to Redis."""
        if self._redis is not None:
            # limits has no method for it.
            await self._redis.bridge.get_connection().aclose()  # type: ignore[attr-defined]

    async def _count(self, limit: RateLimitItem | None, kind: str, who: str) -> None:
        if limit is None:
            return
        if self._shared is not None and not self.storage_is_away:
            try:
                await _hit(self._shared, limit, kind, who)
            except StorageError as error:
                # The message may hold the address, which does not belong in the log.
                cause = type(error.storage_error).__name__
                logger.warning("Redis is unreachable; this gateway counts rate limits alone", extra={"cause": cause})
                self._shared_from = time.monotonic() + _REDIS_PAUSE
            else:
                return
        await _hit(self._own, limit, kind, who)


async def _hit(limiter: MovingWindowRateLimiter, limit: RateLimitItem, kind: str, who: str) -> None:
    if not await limiter.hit(limit, kind, who):
        window = await limiter.get_window_stats(limit, kind, who)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimitedError(f"The limit is {limit} for one {kind}; try again in {wait} s.", retry_after=wait)


def _open_redis(url: str) -> RedisStorage:
    """Redis as a storage; it connects when the first request is counted."""
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=_KEY_PREFIX,
        socket_timeout=_REDIS_TIMEOUT,
        socket_connect_timeout=_REDIS_TIMEOUT,
    )


def make_rate_limits(settings: Settings) -> RateLimits | None:
    """The rate limits of the settings; None if there are none."""
    if settings.rate_limit_per_key is None and settings.rate_limit_per_address is None:
        return None
    return RateLimits(settings)


def _parsed(limit: str | None) -> RateLimitItem | None:
    return None if limit is None else parse(limit)


def _network(address: str) -> str:
    """What counts as one address."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
