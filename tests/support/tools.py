"""Programs that tests run: where they are, or a skip that says what installs them and what they would prove."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True)
class Program:
    """A program of the machine that some tests drive.

    Attributes:
        name: Of its executable.
        package: The Debian package that contains it.
        proves: What stays untested without it.
    """

    name: str
    package: str
    proves: str

    @property
    def reason(self) -> str:
        """Why tests are skipped if it is missing."""
        return f"{self.name} is missing ({self.proves}): `make test-programs` installs Debian's {self.package}"


@functools.cache
def programs() -> dict[str, Program]:
    """Return the programs that tests drive, by name."""
    lines = Path(__file__).with_name("programs.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]
    return {name: Program(name, package, proves) for name, package, proves in rows}


def find(name: str) -> str | None:
    """Return the path of a program in this environment, on the path or in /usr/sbin; None if there is none."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin"])
    return shutil.which(name, path=folders)


def tool(name: str) -> str:
    """Return the path of a program; skips the test if it is missing."""
    found = find(name)
    if found is None:
        known = programs().get(name)
        pytest.skip(known.reason if known else f"{name} is missing: its PyPI package has no build for this machine")
    return found


def missing_programs() -> list[Program]:
    """Return the programs whose tests will be skipped on this machine."""
    return [program for program in programs().values() if find(program.name) is None]
