"""Benchmarks: what each stage costs, what the gateway adds, and how it compares with alternatives.

`python -m benchmarks` measures and writes docs/performance.json and docs/PERFORMANCE.md; `python -m benchmarks compare`
compares two checkouts. Contenders take turns and figures are medians over the rounds.
"""

import os

# One thread, as in the gateway's decode workers; numpy reads it once.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
# ONNX Runtime sends telemetry unless this is set before it is imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
