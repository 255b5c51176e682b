"""The tools of the page's tests that come from npm, installed once into caches that git ignores."""

from __future__ import annotations

import functools
import subprocess
from pathlib import Path

import pytest

from tests.support.tools import find, programs

ROOT = Path(__file__).parents[2]
_CACHE = ROOT / ".cache"
_INSTALL_SECONDS = 240


class ToolMissingError(Exception):
    """Why a tool is not there."""


def tool(path: str) -> Path:
    """A file of a package that the tests need, or a skip that says why there is none.

    Args:
        path: Below `node_modules`, e.g. `axe-core/axe.min.js`.
    """
    try:
        return installed("frontend", Path(__file__).with_name("package.json")) / path
    except ToolMissingError as error:
        pytest.skip(str(error))


@functools.cache
def installed(name: str, manifest: Path) -> Path:
    """Install packages, where they are not there yet.

    Args:
        name: Of the cache.
        manifest: A `package.json` with exact versions. No lock file: it would name a registry.

    Returns:
        The folder `node_modules`.

    Raises:
        ToolMissingError: They cannot be installed.
    """
    npm = find("npm")
    if npm is None:
        raise ToolMissingError(programs()["npm"].reason)
    wanted, folder = manifest.read_text(), _CACHE / name
    mark = folder / ".installed"
    if not mark.is_file() or mark.read_text() != wanted:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text(wanted)
        command = [npm, "install", "--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts"]
        try:
            subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_INSTALL_SECONDS, check=True)
        except subprocess.CalledProcessError as error:
            raise ToolMissingError(f"npm could not install the tools: {error.stderr.strip()[:200]}") from error
        except subprocess.TimeoutExpired as error:
            raise ToolMissingError(f"npm did not install the tools within {_INSTALL_SECONDS} s") from error
        mark.write_text(wanted)
    return folder / "node_modules"
