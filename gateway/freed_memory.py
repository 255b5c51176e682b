"""What the gateway and its decode workers do with memory that they have freed: they keep some for the next clip.

By default glibc gives the frames of a clip back to the system, and the next clip pays for them again, page by page:
1,500 page faults and 3 ms of CPU for three seconds of 640×480. In the gateway it is the tensors on their way to Triton:
up to 200 page faults for a sampled clip.
"""

from __future__ import annotations

import ctypes
import sys
from typing import Final

KEPT_BYTES: Final = 64 * 2**20
"""Freed memory at the end of the heap that is kept, in bytes: eight frames of 1080p and what decoding them takes."""

_LARGEST_ON_HEAP: Final = 4 * 2**20
"""Larger blocks, such as frames of 4K, are given back at once, in bytes."""

# Parameters of mallopt(3).
_M_TRIM_THRESHOLD: Final = -1
_M_TOP_PAD: Final = -2
_M_MMAP_THRESHOLD: Final = -3
_M_ARENA_MAX: Final = -8


def keep_freed_memory() -> None:
    """Let this process keep freed memory, where its C library is glibc; elsewhere nothing changes."""
    if sys.platform != "linux":
        return
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return
    library.mallopt(_M_MMAP_THRESHOLD, _LARGEST_ON_HEAP)
    library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
    library.mallopt(_M_TOP_PAD, _LARGEST_ON_HEAP)
    # Of what threads allocate, too: an arena for each would take 64 MiB of a worker's address space.
    library.mallopt(_M_ARENA_MAX, 1)
