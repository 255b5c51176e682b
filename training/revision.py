"""The commit of the code, for the metadata of files."""

from __future__ import annotations

import subprocess
from pathlib import Path


def checked_out_commit() -> str:
    """The commit that is checked out; `unknown` outside a checkout or without git, as in a container."""
    command = ["git", "rev-parse", "HEAD"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except FileNotFoundError:
        return "unknown"
    return done.stdout.strip() or "unknown"
