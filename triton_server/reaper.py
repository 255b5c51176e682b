"""Removes the processes, shared memory and folder of a run when its launcher exits or is killed.

Runs as a separate process, `reaper.py LAUNCHER FOLDER`, because a killed launcher cannot clean up. A stub orphaned while
it loads its model would wait for its server forever. The kernel's parent-death signal does not help: it is sent when the
parent's thread exits, and Triton starts stubs from short-lived threads.
"""

import os
import select
import shutil
import signal
import sys
import time
from pathlib import Path

_PROGRAMS = {b"tritonserver", b"triton_python_backend_stub", b"bash"}
"""Programs of a run: the server, its stubs, and the shell that starts a stub."""

_LOOK_SECONDS = 0.5
_KILL_SECONDS = 10.0


def main() -> None:
    """Wait until the launcher asks for it or exits, then clean up."""
    launcher, folder = int(sys.argv[1]), Path(sys.argv[2])
    # Outlive the launcher, even if a terminal or a service manager signals all processes.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    # End of file on standard input is not enough: a forked child of the launcher may keep it open.
    while os.getppid() == launcher and not select.select([sys.stdin], [], [], _LOOK_SECONDS)[0]:
        pass
    clean(folder)


def clean(folder: Path) -> None:
    """Kill the processes of a run and remove its shared memory and its folder.

    Args:
        folder: The run's private folder, which its processes have in their arguments.
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
    """Remove the shared memory of a killed server; no server of the run may be alive.

    Args:
        folder: The run's private folder.
    """
    for region in Path("/dev/shm").glob(f"{shared_memory_prefix(folder)}*"):  # noqa: S108 (POSIX shared memory)
        region.unlink(missing_ok=True)


def shared_memory_prefix(folder: Path) -> str:
    """Prefix of the names of a run's shared memory regions.

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
            # The process has exited.
            continue
        program = command.split(b"\0")[0].split(b"/")[-1]
        if program in _PROGRAMS and f"{folder}/".encode() in command:
            found.append(int(process.name))
    return found


if __name__ == "__main__":
    main()
