"""`python -m benchmarks`: measure pieces, or all, and write docs/PERFORMANCE.md from what has been measured."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks import endurance, growth, guard, report, results, serving, stages, workloads

PIECES: dict[str, Callable[[bool], dict[str, Any]]] = {
    "stages": lambda quick: stages.measure(3 if quick else 15),
    "variants": lambda quick: serving.measure_variants(*((1, 3.0, 3) if quick else (2, 5.0, 8))),
    "peers": lambda quick: serving.measure_peers(*((1, 3.0, 3) if quick else (3, 6.0, 8))),
    "growth": lambda quick: growth.measure(*((3.0, 3) if quick else (8.0, 7))),
    "cold": lambda quick: endurance.measure_cold_start(1 if quick else 2),
    "memory": lambda quick: endurance.measure_memory(1000 if quick else endurance.REQUESTS),
    "guard": lambda _: vars(guard.measure(workloads.clip(workloads.RECORDING))),
}
"""What can be measured, each in less than a quarter of an hour."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}, report (default: all)")
    parser.add_argument("--quick", action="store_true", help="few rounds: to see that it works, not for figures")
    options = parser.parse_args(arguments)
    if unknown := set(options.pieces) - {*PIECES, "report"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    for piece in options.pieces or PIECES:
        if piece == "report":
            continue
        print(f"measuring {piece} …", flush=True)
        figures = PIECES[piece](options.quick)
        command = f"python -m benchmarks {piece}{' --quick' * options.quick}"
        results.save(piece, figures, command)
    print(f"wrote {report.write()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
