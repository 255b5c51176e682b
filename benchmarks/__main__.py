"""`python -m benchmarks`: measure, and write docs/performance.json and docs/PERFORMANCE.md.

`python -m benchmarks compare --help`: compare the speed of two checkouts.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Final, Literal, get_args

from benchmarks import results

Effort = Literal["trial", "short", "full"]

PIECES: Final[dict[str, tuple[str, dict[Effort, tuple[float, ...]]]]] = {
    "overhead": ("overhead:measure", {"trial": (2, 1, 0.5), "short": (100, 9, 5.0), "full": (200, 15, 8.0)}),
    "peers": ("serving:measure_peers", {"trial": (1, 1.0, 1), "short": (3, 6.0, 6), "full": (5, 8.0, 12)}),
    "variants": ("serving:measure_variants", {"trial": (1, 1.0, 1), "short": (3, 5.0, 6), "full": (5, 8.0, 12)}),
    "decode": ("decode:measure", {"trial": (1,), "short": (9,), "full": (15,)}),
    "growth": ("growth:measure_load", {"trial": (0.5, 1), "short": (5.0, 3), "full": (10.0, 7)}),
    "cold": ("growth:measure_cold_start", {"trial": (1,), "short": (3,), "full": (5,)}),
    "memory": ("growth:measure_memory", {"trial": (500,), "short": (10_000,), "full": (10_000,)}),
    "gpu": ("gpu:measure", {"trial": (3,), "short": (30,), "full": (100,)}),
}
"""What can be measured: module and function, imported when needed, because a machine with a GPU may have few packages;
and its arguments by effort."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; returns the exit status."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends the servers that were started, too
    words = sys.argv[1:] if arguments is None else list(arguments)
    if words[:1] == ["compare"]:
        return int(import_module("benchmarks.compare").main(words[1:]))
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"{', '.join(PIECES)}, report (default: all)")
    parser.add_argument(
        "--effort",
        choices=get_args(Effort),
        default="full",
        help="trial: shows that everything works, publishes nothing; short: about 40 minutes; full: about an hour",
    )
    options = parser.parse_args(words)
    if unknown := set(options.pieces) - {*PIECES, "report"}:
        parser.error(f"unknown pieces: {', '.join(sorted(unknown))}")
    path = results.TRIAL if options.effort == "trial" else results.PUBLISHED
    for piece in options.pieces or PIECES:
        if piece == "report":
            print(f"wrote {results.write_page(path)}")
            continue
        function, efforts = PIECES[piece]
        module, name = function.split(":")
        print(f"measuring {piece} …", flush=True)
        try:
            found = getattr(import_module(f"benchmarks.{module}"), name)(*efforts[options.effort])
        except results.NotMeasurableError as error:
            print(f"skipped {piece}: {error}", flush=True)
            continue
        command = f"python -m benchmarks {piece} --effort {options.effort}"
        print(f"wrote {results.save(path, piece, found, command)}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
