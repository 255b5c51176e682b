"""Programs that tests run, or a skip that says what would install them."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

_DEBIAN_PACKAGES = {
    "promtool": "prometheus",
    "nginx": "nginx",
    "redis-server": "redis-server",
    "docker": "docker.io",
    "mmdebstrap": "mmdebstrap",
}


def tool(name: str) -> str:
    """A program of this environment or of the machine; skips the test where there is none."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    found = shutil.which(name, path=folders)
    if found is None:
        package = _DEBIAN_PACKAGES.get(name)
        holder = f"Debian's package {package} holds it" if package else "its PyPI package has no build for this machine"
        pytest.skip(f"{name} is not installed; {holder}.")
    return found
