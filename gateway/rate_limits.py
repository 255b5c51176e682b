"""How often one caller may ask: by API key, and by network address, where a limit is set.

Counted in this process, or in a Redis that several gateways share. While Redis is away or slow, each gateway counts by
itself again: a limit that is a little loose for a while is better than predictions that stop, and than no limit at
all. Behind a proxy the address is the one that the proxy forwards, if the proxy is trusted.
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
"""A household or a server usually owns a whole /64 of IPv6 addresses: it counts as one."""


_REDIS_TIMEOUT: Final = 0.25
"""Longest wait for Redis, in seconds: a request pays it once when Redis goes, and then others go without it."""

_REDIS_PAUSE: Final = 5.0
"""Time after which a Redis that was away is asked again, in seconds."""

_KEY_PREFIX: Final = "emotion"
"""Redis' keys begin with it, so that it can be shared with others."""


class RateLimits:
    """Counts requests of the recent past."""

    def __init__(self, settings: Settings) -> None:
        """Start counting at zero.

        Args:
            settings: The two limits, each optional, and where to count.
        """
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
        """Whether this gateway counts by itself although it should share."""
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
                # Its words may hold the address: they are not for the log.
                cause = type(error.storage_error).__name__
                logger.warning("Redis is away; this gateway counts rate limits by itself", extra={"cause": cause})
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
    """Redis as a storage; it is connected to when something is counted."""
    return RedisStorage(
        f"async+{url}",
        wrap_exceptions=True,
        implementation="redispy",
        key_prefix=_KEY_PREFIX,
        socket_timeout=_REDIS_TIMEOUT,
        socket_connect_timeout=_REDIS_TIMEOUT,
    )


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
