"""Real recordings, found by the variable EMO_DATA."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


def data_path(name: str) -> Path:
    """A file or folder of the real data, or a skip that says what is missing.

    Args:
        name: Path below the folder that EMO_DATA names, e.g. `clips/woman2.mp4`.
    """
    folder = os.environ.get("EMO_DATA")
    if not folder:
        pytest.skip("EMO_DATA is not set: it names the folder with real recordings")
    path = Path(folder) / name
    if not path.exists():
        pytest.skip(f"EMO_DATA holds no {name}")
    return path
