"""`python -m benchmarks`: measure pieces, or all, and write docs/PERFORMANCE.md from what has been measured."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

from benchmarks import endurance, growth, guard, report, results, serving, stages, workloads

Effort = Literal["trial", "short", "full"]
"""`trial` shows that everything works, `short` gives figures in about 25 minutes, `full` in about 45."""

PIECES: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "stages": lambda effort: stages.measure({"trial": 1, "short": 7, "full": 15}[effort]),
    "variants": lambda effort: serving.measure_variants(
        *{"trial": (1, 1.0, 1), "short": (2, 5.0, 6), "full": (3, 8.0, 12)}[effort]
    ),
    "peers": lambda effort: serving.measure_peers(
        *{"trial": (1, 1.0, 1), "short": (2, 6.0, 6), "full": (4, 8.0, 12)}[effort]
    ),
    "growth": lambda effort: growth.measure(*{"trial": (1.0, 1), "short": (5.0, 3), "full": (10.0, 7)}[effort]),
    "cold": lambda effort: endurance.measure_cold_start({"trial": 1, "short": 2, "full": 3}[effort]),
    "memory": lambda effort: endurance.measure_memory({"trial": 500, "short": 10_000, "full": 10_000}[effort]),
    "guard": lambda _: vars(guard.measure(workloads.clip(workloads.RECORDING))),
}
"""What can be measured, each in less than a quarter of an hour."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}, report (default: all)")
    parser.add_argument(
        "--effort",
        choices=get_args(Effort),
        default="full",
        help="rounds and their length: trial (to see that it works, no figures), short (25 minutes), full (45)",
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers that were started end with this process
    if unknown := set(options.pieces) - {*PIECES, "report"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for piece in options.pieces or PIECES:
        if piece == "report":
            continue
        print(f"measuring {piece} …", flush=True)
        figures = PIECES[piece](options.effort)
        command = f"python -m benchmarks {piece} --effort {options.effort}"
        results.save(piece, figures, command)
    print(f"wrote {report.write()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
