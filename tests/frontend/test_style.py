"""The style of the page's code, by Biome."""

from __future__ import annotations

import subprocess

from tests.frontend.tools import ROOT, tool


def test_modules_style_sheet_and_markup_pass_the_linter() -> None:
    command = [str(tool("@biomejs/biome/bin/biome")), "check", "--error-on-warnings", ".", "../tests/frontend"]
    run = subprocess.run(command, cwd=ROOT / "frontend", capture_output=True, text=True, timeout=200, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
