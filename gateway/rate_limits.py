"""How often one caller may ask: by API key, and by network address, where a limit is set.

Counted in this process. Behind a proxy the address is the one that the proxy forwards, if the proxy is trusted.
"""

from __future__ import annotations

import ipaddress
import math
import time

from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import MovingWindowRateLimiter

from gateway.errors import RateLimitedError
from gateway.settings import Settings

_IPV6_PREFIX = 64
"""A household or a server usually owns a whole /64 of IPv6 addresses: it counts as one."""


class RateLimits:
    """Counts requests of the recent past."""

    def __init__(self, settings: Settings) -> None:
        """Start counting at zero.

        Args:
            settings: The two limits, each optional.
        """
        self._limiter = MovingWindowRateLimiter(MemoryStorage())
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

    async def _count(self, limit: RateLimitItem | None, kind: str, who: str) -> None:
        if limit is None or await self._limiter.hit(limit, kind, who):
            return
        window = await self._limiter.get_window_stats(limit, kind, who)
        wait = max(1, math.ceil(window.reset_time - time.time()))
        raise RateLimitedError(f"The limit is {limit} for one {kind}; try again in {wait} s.", retry_after=wait)


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
