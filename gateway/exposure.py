"""What other machines may reach: the gateway does not start where its settings would let anybody in unmeant."""

from __future__ import annotations

import ipaddress

from gateway.errors import InsecureSettingsError
from gateway.settings import Settings

ANY_ORIGIN = "*"


def check_exposure(settings: Settings) -> None:
    """Refuse settings that are safe on this machine only, where others reach the gateway.

    Raises:
        InsecureSettingsError: There is no key, or pages from anywhere may call.
    """
    if is_loopback(settings.host):
        return
    if not settings.api_keys and not settings.allow_anonymous:
        raise InsecureSettingsError(
            f"The gateway would listen on {settings.host}, which other machines may reach, and anybody could use it: "
            "set EMO_API_KEYS (`python -m gateway.keys <name>` makes a key), or EMO_ALLOW_ANONYMOUS=1 if that is meant."
        )
    if ANY_ORIGIN in settings.cors_origins and not settings.mock:
        raise InsecureSettingsError(
            f"EMO_CORS_ORIGINS has *, and the gateway would listen on {settings.host}, which other machines may reach: "
            "name the origins whose pages may call, or use * in mock mode or on loopback only."
        )


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
