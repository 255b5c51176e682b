"""Removes everything of a run from the machine when its launcher ends, also when the launcher was killed.

Run as a process of its own, `reaper.py LAUNCHER FOLDER`, because a killed launcher cleans up nothing. Stubs need it
most: one that is orphaned while it loads its model waits for its server for ever. The kernel's parent-death signal does
not help there, since it comes at the end of the parent's thread, and Triton starts stubs from threads that end.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_PROGRAMS = {b"tritonserver", b"triton_python_backend_stub", b"bash"}
"""What runs in a run's name: the server, its stubs, and the shell that starts a stub."""

_LOOK_SECONDS = 0.5
_KILL_SECONDS = 10.0


def main() -> None:
    """Wait for the launcher's word or its end, then clean up."""
    launcher, folder = int(sys.argv[1]), Path(sys.argv[2])
    # It ends with the launcher and not before, whatever a terminal or a service manager sends to all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # The end of standard input alone would not do: a forked child of the launcher may hold it open.
    while os.getppid() == launcher and not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
        pass
    clean(folder)


def clean(folder: Path) -> None:
    """End the processes of a run and remove its shared memory and its folder.

    Args:
        folder: The run's private folder, which its processes carry in their arguments.
    """
    deadline = time.monotonic() + _KILL_SECONDS
    while (processes := _processes(folder)) and time.monotonic() < deadline:
        for process in processes:
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.05)
    remove_shared_memory(folder)
    shutil.rmtree(folder, ignore_errors=True)


def remove_shared_memory(folder: Path) -> None:
    """Remove what a killed server left in shared memory; call it when no server of the run is alive.

    Args:
        folder: The run's private folder.
    """
    for region in Path("/dev/shm").glob(f"{shared_memory_prefix(folder)}*"):  # noqa: S108 (POSIX shared memory)
        region.unlink(missing_ok=True)


def shared_memory_prefix(folder: Path) -> str:
    """What the names of a run's shared memory regions begin with.

    Args:
        folder: The run's private folder.
    """
    return f"{folder.name}_"


def _processes(folder: Path) -> list[int]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
        except OSError:
            # It has ended meanwhile.
            continue
        program = command.split(b"\0")[0].split(b"/")[-1]
        if program in _PROGRAMS and f"{folder}/".encode() in command:
            found.append(int(process.name))
    return found


if __name__ == "__main__":
    main()
