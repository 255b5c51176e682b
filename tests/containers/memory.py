"""Folders in memory: a disk takes minutes to write the layers of images, and longer to remove them."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path


def keep_in_memory(folder: Path, gibibytes: int) -> None:
    """Keep in memory what will be written to an empty folder, where we may and twice as much is free."""
    known = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    if int(known["MemAvailable"].split()[0]) > 2 * gibibytes * 2**20:
        options = f"size={gibibytes}g,mode=0711"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "emotion", folder], capture_output=True, check=False)


def remove_with_mounts(folder: Path) -> None:
    """Remove a folder; file systems that are mounted in it come off first, the innermost before the others."""
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    inside = [each for each in mounts if each == str(folder) or each.startswith(f"{folder}/")]
    for mount in sorted(inside, reverse=True):
        subprocess.run(["umount", "--lazy", mount], check=False)
    shutil.rmtree(folder)


@contextlib.contextmanager
def folder_in_memory(gibibytes: int) -> Iterator[Path]:
    """A folder that lasts as long as the context, in memory where that is possible."""
    folder = Path(tempfile.mkdtemp(prefix="emotion-"))
    try:
        keep_in_memory(folder, gibibytes)
        yield folder
    finally:
        remove_with_mounts(folder)
