"""`python -m benchmarks`: measure pieces, or all, and write docs/PERFORMANCE.md from what has been measured."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from typing import Any, Literal, get_args

from benchmarks import results

Effort = Literal["trial", "short", "full"]
"""`trial` shows that everything works, `short` gives figures in about 40 minutes, `full` in about an hour."""


def _piece(function: str, efforts: Mapping[Effort, tuple[float, ...]]) -> Callable[[Effort], dict[str, Any]]:
    """A piece whose module is imported when it is measured: the machine with a GPU may have little but the model's.

    Args:
        function: Module and name of what measures it.
        efforts: Its arguments.
    """
    module, name = function.split(":")
    return lambda effort: dict(getattr(import_module(module), name)(*efforts[effort]))


PIECES: dict[str, Callable[[Effort], dict[str, Any]]] = {
    "stages": _piece("benchmarks.stages:measure", {"trial": (1,), "short": (7,), "full": (15,)}),
    "overhead": _piece(
        "benchmarks.overhead:measure", {"trial": (2, 1, 0.5), "short": (100, 9, 5.0), "full": (200, 15, 8.0)}
    ),
    "variants": _piece(
        "benchmarks.serving:measure_variants", {"trial": (1, 1.0, 1), "short": (2, 5.0, 6), "full": (3, 8.0, 12)}
    ),
    "peers": _piece(
        "benchmarks.serving:measure_peers", {"trial": (1, 1.0, 1), "short": (3, 6.0, 6), "full": (5, 8.0, 12)}
    ),
    "growth": _piece("benchmarks.growth:measure", {"trial": (1.0, 1), "short": (5.0, 3), "full": (10.0, 7)}),
    "cold": _piece("benchmarks.endurance:measure_cold_start", {"trial": (1,), "short": (2,), "full": (3,)}),
    "memory": _piece("benchmarks.endurance:measure_memory", {"trial": (500,), "short": (10_000,), "full": (10_000,)}),
    "guard": _piece("benchmarks.guard:measure_recording", {"trial": (), "short": (), "full": ()}),
    "gpu": _piece("benchmarks.gpu:measure", {"trial": (3,), "short": (30,), "full": (100,)}),
}
"""What can be measured, each in less than a quarter of an hour where the effort is `short`."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__.splitlines()[0])
    parser.add_argument("pieces", nargs="*", metavar="PIECE", help=f"of {', '.join(PIECES)}, report (default: all)")
    parser.add_argument(
        "--effort",
        choices=get_args(Effort),
        default="full",
        help="rounds and their length: trial (to see that it works, no figures), short (40 minutes), full (an hour)",
    )
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # servers that were started end with this process
    if unknown := set(options.pieces) - {*PIECES, "report"}:
        parser.error(f"unknown: {', '.join(sorted(unknown))}")
    has_news = not options.pieces or "report" in options.pieces
    for piece in options.pieces or PIECES:
        if piece == "report":
            continue
        print(f"measuring {piece} …", flush=True)
        try:
            figures = PIECES[piece](options.effort)
        except results.NotMeasurableError as error:
            print(f"{piece} is skipped: {error}", flush=True)
            continue
        command = f"python -m benchmarks {piece} --effort {options.effort}"
        results.save(piece, figures, command)
        has_news = True
    if not has_news:
        return 0
    try:
        report = import_module("benchmarks.report")
    except ModuleNotFoundError as error:
        # The machine with a GPU: its figures are reported where the others are.
        print(f"figures are in {results.FOLDER}; no report without {error.name}, which is not installed here")
        return 0
    print(f"wrote {report.write()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
