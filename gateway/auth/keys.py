"""API keys: generated here, kept as hashes only, compared in constant time.

Keys are long and random, so a plain SHA-256 cannot be reversed; a slow password hash would only cost time. Several keys
may be valid at once, so a key can be replaced without an interruption.
"""

from __future__ import annotations

import argparse
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence

from gateway.errors import InsecureSettingsError

_ENTRY = re.compile(r"([A-Za-z0-9_-]{1,40}):([0-9a-f]{64})")

ANONYMOUS = "anonymous"
"""Name of all callers if the server needs no key."""


def make_key() -> str:
    """A new random key."""
    return f"emo_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The hash of a key that the server keeps, 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys that are valid, by name."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Parse the keys of the settings.

        Raises:
            InsecureSettingsError: An entry is not of this form.
        """
        self._hashes: list[tuple[str, str]] = []
        for number, entry in enumerate(entries, 1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise InsecureSettingsError(
                    f"Entry {number} of EMO_API_KEYS is not <name>:<SHA-256 in hexadecimal>; "
                    "`python -m gateway.auth.keys <name>` makes one."
                )
            self._hashes.append((match[1], match[2]))

    def name_of(self, key: str) -> str | None:
        """The name of a valid key, None for any other; takes the same time for all keys."""
        found = hash_key(key)
        names = [name for name, known in self._hashes if hmac.compare_digest(found, known)]
        return names[0] if names else None


def main() -> None:
    """Generate a key and print it with its entry for EMO_API_KEYS."""
    parser = argparse.ArgumentParser(prog="python -m gateway.auth.keys", description="Generate an API key.")
    parser.add_argument("name", help="name of the key: up to 40 letters, digits, - and _")
    name = parser.parse_args().name
    key = make_key()
    entry = f"{name}:{hash_key(key)}"
    try:
        KeyRing([entry])
    except InsecureSettingsError:
        parser.error("the name may hold up to 40 letters, digits, - and _")
    print(f"Key, for the client; it is not shown again: {key}")
    print(f"Entry for EMO_API_KEYS, for the server: {entry}")


if __name__ == "__main__":
    main()
