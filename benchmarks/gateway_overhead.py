"""`python -m benchmarks.gateway_overhead CLIP`: what the gateway adds to decoding and inference, one request at a time.

It asks a gateway that runs, for example by `make run`, on this machine, and prints medians and 95th percentiles in
milliseconds as JSON. The overhead of a request is what its client waited, less what the answer says of decoding and
inference: the way over loopback, the form, the queue, moving bytes to the worker and back, and the answer.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import numpy as np

from gateway.exposure import is_loopback

_WARM_UP = 10


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway_overhead", description="Measure the overhead.")
    parser.add_argument("clip", type=Path, help="a clip to send")
    parser.add_argument("--url", default="http://127.0.0.1:8000", help="the gateway, on loopback")
    parser.add_argument("--requests", type=int, default=200, help="how many requests are measured")
    options = parser.parse_args()
    if not is_loopback(urlsplit(options.url).hostname or ""):
        parser.error("only a gateway on loopback is measured")
    clip = options.clip.read_bytes()
    rows = measure(options.url, clip, options.requests)
    figures = {
        name: {"p50": round(float(np.median(values)), 2), "p95": round(float(np.quantile(values, 0.95)), 2)}
        for name, values in rows.items()
    }
    about = {
        "command": " ".join(["python -m benchmarks.gateway_overhead", options.clip.name, *sys.argv[2:]]),
        "clip_bytes": len(clip),
        "requests": options.requests,
        "machine": platform.processor() or platform.machine(),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in ("uvicorn", "uvloop", "fastapi", "grpcio")},
    }
    print(json.dumps(about | {"milliseconds": figures}, indent=2))


def measure(url: str, clip: bytes, requests: int) -> dict[str, list[float]]:
    """Send a clip again and again.

    Args:
        url: The gateway.
        clip: The file's bytes.
        requests: How many requests are measured, after a few that are not.

    Returns:
        Milliseconds of each request by stage; `overhead` is what the client waited less decoding and inference.
    """
    rows: dict[str, list[float]] = {}
    with httpx.Client(base_url=url, timeout=30) as client:
        for number in range(_WARM_UP + requests):
            begin = time.perf_counter()
            response = client.post("/predict", files={"file": ("clip", clip)})
            waited = 1000 * (time.perf_counter() - begin)
            stages = response.raise_for_status().json()["timings_ms"]
            if number >= _WARM_UP:
                overhead = waited - stages["decode"] - stages["inference"]
                for name, value in {"overhead": overhead, "waited": waited, **stages}.items():
                    rows.setdefault(name, []).append(value)
    return rows


if __name__ == "__main__":
    main()
