"""The tools of the page's tests that come from npm, installed once into a cache that git ignores."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache" / "frontend"
INSTALL_SECONDS = 120


def tool(path: str) -> Path:
    """A file of an installed package, or a skip that says why there is none.

    Args:
        path: Below `node_modules`, e.g. `axe-core/axe.min.js`.
    """
    if reason := _reason_without_tools():
        pytest.skip(reason)
    return CACHE / "node_modules" / path


@functools.cache
def _reason_without_tools() -> str | None:
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    wanted = Path(__file__).with_name("package.json").read_text()
    installed = CACHE / ".installed"
    if installed.is_file() and installed.read_text() == wanted:
        return None
    CACHE.mkdir(parents=True, exist_ok=True)
    (CACHE / "package.json").write_text(wanted)
    # No lock file: it would name a registry. The versions are exact, and neither package has dependencies of its own.
    command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
    try:
        subprocess.run(command, cwd=CACHE, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=True)
    except subprocess.CalledProcessError as error:
        return f"npm could not install the tools: {error.stderr.strip()[:200]}"
    except subprocess.TimeoutExpired:
        return f"npm did not install the tools within {INSTALL_SECONDS} s"
    installed.write_text(wanted)
    return None
