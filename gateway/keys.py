"""API keys: made here, kept as hashes only, compared in constant time.

Keys are random and long, so that a plain SHA-256 cannot be turned around; a slow password hash would only cost time.
Several keys may be valid at once, so that one can be replaced without an interruption.
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
"""Name of callers where no key is asked for."""


def make_key() -> str:
    """A new random key."""
    return f"emo_{secrets.token_urlsafe(32)}"


def hash_key(key: str) -> str:
    """The hash under which a key is kept, 64 hexadecimal digits."""
    return hashlib.sha256(key.encode()).hexdigest()


class KeyRing:
    """The keys that are valid, by name."""

    def __init__(self, entries: Sequence[str]) -> None:
        """Take the keys of the settings.

        Args:
            entries: Each `<name>:<hash>`.

        Raises:
            InsecureSettingsError: An entry has another form.
        """
        self._hashes: list[tuple[str, str]] = []
        for number, entry in enumerate(entries, 1):
            match = _ENTRY.fullmatch(entry)
            if match is None:
                raise InsecureSettingsError(
                    f"Entry {number} of EMO_API_KEYS is not <name>:<SHA-256 in hexadecimal>; "
                    "`python -m gateway.keys <name>` makes one."
                )
            self._hashes.append((match[1], match[2]))

    @property
    def is_empty(self) -> bool:
        """Whether no key is asked for."""
        return not self._hashes

    def name_of(self, key: str) -> str | None:
        """The name of a valid key, None for any other; takes the same time for each."""
        found = hash_key(key)
        names = [name for name, known in self._hashes if hmac.compare_digest(found, known)]
        return names[0] if names else None


def main() -> None:
    """Make a key and print it beside the entry for EMO_API_KEYS."""
    parser = argparse.ArgumentParser(prog="python -m gateway.keys", description="Make an API key.")
    parser.add_argument("name", help="who will use it: letters, digits, - and _")
    name = parser.parse_args().name
    key = make_key()
    entry = f"{name}:{hash_key(key)}"
    try:
        KeyRing([entry])
    except InsecureSettingsError:
        parser.error("the name may hold up to 40 letters, digits, - and _")
    print(f"Key, for the client, shown only now: {key}")
    print(f"Entry for EMO_API_KEYS, of the server: {entry}")


if __name__ == "__main__":
    main()
