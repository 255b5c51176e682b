"""One thread per process: tests start several, and threads that wait for each other by spinning take all the cores."""

from __future__ import annotations

import os

os.environ["OMP_NUM_THREADS"] = "1"
