"""Checks of the settings that stop the gateway from starting open to everyone by mistake."""

from __future__ import annotations

import ipaddress

from gateway.errors import InsecureSettingsError
from gateway.settings import Settings

ANY_ORIGIN = "*"


def check_security(settings: Settings) -> None:
    """Reject settings that are safe on loopback only, if the gateway listens on another address.

    Raises:
        InsecureSettingsError: No key is needed, or pages of any origin may call.
    """
    if is_loopback(settings.host):
        return
    if not settings.api_keys and not settings.allow_anonymous:
        raise InsecureSettingsError(
            f"The gateway would listen on {settings.host}, which other machines can reach, without an API key. Set "
            "EMO_API_KEYS (`python -m gateway.auth.keys <name>` generates a key), or allow it by EMO_ALLOW_ANONYMOUS=1."
        )
    if ANY_ORIGIN in settings.cors_origins and not settings.mock:
        raise InsecureSettingsError(
            f"EMO_CORS_ORIGINS is *, and the gateway would listen on {settings.host}, which other machines can reach. "
            "Name the origins whose pages may call; * is allowed in mock mode and on loopback only."
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach an address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
