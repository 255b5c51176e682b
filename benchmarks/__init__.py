"""Benchmarks: what each part costs, what the whole reaches, and how it compares with what people write or pick.

`make bench` runs all of them and writes docs/PERFORMANCE.md. Rounds are interleaved, numbers are medians, and CPU
time stands beside wall time, because it is what a machine can sell and what a busy neighbour disturbs least.
"""

import os

# One thread, as in the gateway's decode workers: a second one spins where it should wait. numpy reads it once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# Packages of ONNX Runtime report their use to its maker unless this is set when it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
