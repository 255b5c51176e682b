"""`python -m benchmarks compare --against CHECKOUT`: this checkout's gateway against another's, by turns.

Both are started as `python -m stack` in their own folder, the other one in its `.venv` if it has one, and with this
checkout's Triton. Rounds are short and paired; the confidence interval says what the figures are worth on this machine.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from benchmarks.results import FOLDER, describe
from benchmarks.turns import Rounds, by_turns, medians, paired, server_turns, suspended_servers
from benchmarks.workloads import FILES, ORIGINAL, RECORDING, payload
from loadtest.servers import ROOT, ours

THIS: Final = "this"
OTHER: Final = "other"
_FIGURES: Final = {
    "per_second": "saturated: answers per second",
    "server_cpu_ms": "saturated: CPU ms per answer",
    "alone_p50_ms": "one client: p50 ms",
    "alone_overhead_ms": "one client: of that overhead",
}


def main(arguments: Sequence[str]) -> int:
    """Run the command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks compare",
        description="Compare the speed of this checkout's gateway and another's, by turns.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("--against", type=Path, required=True, metavar="CHECKOUT", help="root of the other checkout")
    parser.add_argument("--clips", nargs="+", choices=FILES, default=[RECORDING, ORIGINAL], help="clips to send")
    parser.add_argument("--rounds", type=int, default=20, help="rounds; an interval needs at least 6")
    parser.add_argument("--seconds", type=float, default=6.0, help="length of a saturated measurement")
    parser.add_argument("--requests", type=int, default=12, help="requests of a measurement with one client")
    options = parser.parse_args(arguments)
    other = options.against.resolve()
    if not (other / "stack" / "__main__.py").is_file():
        parser.error(f"{other} is not a checkout of this project: it has no stack/__main__.py")
    rounds = measure(other, options.clips, options.rounds, options.seconds, options.requests)
    print(table(rounds))
    path = FOLDER / "compare.json"
    commits = {THIS: describe(ROOT)["commit"], OTHER: describe(other)["commit"]}
    path.write_text(json.dumps({"machine": describe(), "commits": commits, "rounds": rounds}, indent=1) + "\n")
    print(f"{THIS} is {ROOT} ({commits[THIS]}), {OTHER} is {other} ({commits[OTHER]}). {path} has all rounds.")
    return 0


def measure(other: Path, clips: Sequence[str], rounds: int, seconds: float, requests: int) -> Rounds:
    """Measure both gateways by turns.

    Args:
        other: Root of the other checkout.
        clips: Names of the clips.
        rounds: Number of rounds.
        seconds: Length of a saturated measurement.
        requests: Number of requests of a measurement with one client.
    """
    payloads = {name: payload(name) for name in clips}
    with suspended_servers([ours(THIS), ours(OTHER, checkout=other)]) as servers:
        this, that = (server_turns(one.name, one, payloads, seconds, requests) for one in servers)
        return by_turns(this | that, rounds)


def table(rounds: Rounds) -> str:
    """Medians of both, and the ratios this / other with their 95 % intervals, as text."""
    lines = []
    for clip, mine in rounds[THIS].items():
        theirs = rounds[OTHER][clip]
        failed = ", ".join(f"{sum(row['failed'] for row in rows):g}" for rows in (mine, theirs))
        lines.append(f"{clip}: {len(mine)} rounds; failed requests of this, other: {failed}")
        lines.append(f"  {'':31}{THIS:>8}{OTHER:>8}{'ratio':>8}")
        for key, meaning in _FIGURES.items():
            if all(key in row for row in [*mine, *theirs]):
                ratio, interval = paired(mine, theirs, key)
                values = f"{medians(mine)[key]:8.2f}{medians(theirs)[key]:8.2f}{ratio:8.3f}"
                lines.append(f"  {meaning:31}{values}   {interval}")
    return "\n".join(lines)
