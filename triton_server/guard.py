"""Replaces itself by a program that dies with the launcher, even when the launcher is killed with SIGKILL.

Run as a file, as `guard.py PARENT PROGRAM ARGUMENT…`: asking the kernel between fork and exec would mean Python code
in a forked copy of a threaded process, which may deadlock.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def main() -> None:
    """Ask the kernel for a SIGKILL at the parent's death, then become the program."""
    parent, program = int(sys.argv[1]), sys.argv[2]
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
    # The parent may have died before the kernel was asked.
    if os.getppid() != parent:
        sys.exit(1)
    # Python ignores SIGPIPE, and what is ignored stays ignored in the program.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    os.execv(program, sys.argv[2:])  # noqa: S606 (the launcher's own arguments, no shell)


if __name__ == "__main__":
    main()
