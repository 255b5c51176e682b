"""The modules that need no browser, tested by node's own runner."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.tools import tool

FOLDER = Path(__file__).parent


def test_modules_without_a_browser_pass_their_own_tests() -> None:
    files = sorted(FOLDER.glob("*.test.mjs"))
    assert files
    run = subprocess.run([tool("node"), "--test", *files], capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout
