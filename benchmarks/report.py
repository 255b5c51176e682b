"""docs/PERFORMANCE.md, from figures that were measured: no number in it is written by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import gpu_report, results, serving_report, workloads
from benchmarks.guard import LIMIT
from benchmarks.tables import table
from loadtest.servers import ROOT

PATH = ROOT / "docs" / "PERFORMANCE.md"
INTRODUCTION = """# Performance

Written by `make bench` (`python -m benchmarks`) from measurements; nothing here is typed in. Contenders run in one
session and take turns, figures are medians over the rounds, and CPU time stands beside wall time: it is what a machine
can sell, and what neighbours disturb least. The load driver shares the machine's cores with the servers; what it takes
is counted as *driver*. See [loadtest](LOADTEST.md) for load tests with objectives.
"""
_WITHOUT_VNNI = """This processor lacks VNNI, the instructions that INT8 is made for; [EXPORT.md](EXPORT.md) says what
they bring. That weighs most where little else is done, as for sampled clips.

"""
SWEEP = """## Batching, instances and threads of Triton

`make sweep` measures them and [EXPORT.md](EXPORT.md) explains the choice.
"""


def write(path: Path = PATH) -> Path:
    """Write the document; pieces that were not measured say so."""
    parts = [INTRODUCTION, _machine()]
    sections: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
        ("stages", _stages),
        ("overhead", serving_report.overhead),
        ("variants", serving_report.variants),
        ("peers", serving_report.peers),
        ("growth", _growth),
        ("cold", _cold),
        ("memory", _memory),
        ("guard", _guard),
    ]
    for piece, section in sections:
        found = results.load(piece)
        if found is None:
            parts.append(f"## {piece.capitalize()}\n\n**Not measured yet**: `python -m benchmarks {piece}`.\n")
            continue
        parts.append(_noted(section(found["figures"]), found))
    if (ROOT / "docs" / "EXPORT.md").is_file():
        parts.append(SWEEP)
    found = results.load("gpu")
    if found is None:
        parts.append(gpu_report.NOT_MEASURED)
    else:
        parts.append(_noted(gpu_report.section(found["figures"], found["machine"]), found))
    path.write_text("\n".join(parts))
    return path


def _noted(section: str, found: dict[str, Any]) -> str:
    """A section with the command that gave its figures."""
    note = f"`{found['command']}`, {found['machine']['date']}, commit {found['machine']['commit']}"
    return f"{section.rstrip()}\n\n_{note}_\n"


def _machine() -> str:
    found = [piece for piece in map(results.load, ("peers", "variants", "stages")) if piece is not None]
    if not found:
        return "Nothing has been measured yet.\n"
    rows = [(key, value) for key, value in found[0]["machine"].items() if key not in ("date", "commit")]
    clips = "\n".join(f"- *{name}*: {meaning}" for name, meaning in workloads.MEANINGS.items())
    source = "real recordings (`EMO_DATA`)" if workloads.is_real() else "**drawn clips, as no recordings were at hand**"
    slow = "" if "vnni" in found[0]["machine"]["processor"] else _WITHOUT_VNNI
    return f"## Machine and clips\n\n{table(('what', 'value'), rows)}\n\n{slow}Clips are {source}:\n\n{clips}\n"


def _stages(figures: dict[str, Any]) -> str:
    rows = []
    for clip in (workloads.RECORDING, workloads.ORIGINAL, workloads.SAMPLED):
        rows += [(clip, stage, cost["wall"], cost["cpu"]) for stage, cost in figures[clip].items()]
    for name, cost in figures["model"].items():
        rows.append(("tensors", f"model, {name}, one thread", cost["wall"], cost["cpu"]))
    body = table(("of", "stage", "wall ms", "CPU ms"), rows)
    return (
        f"## Stages of one prediction\n\n{body}\n\n*Bare decode* decodes both tracks whole and throws everything away. "
        "Reading a clip decodes only what its window needs, and may therefore be cheaper."
    )


def _growth(figures: dict[str, Any]) -> str:
    clients = [
        (clip, count, row["per_second"], row["p50_ms"], row["p95_ms"], row["refused"])
        for clip, by in figures["clients"].items()
        for count, row in by.items()
    ]
    lengths = [
        (
            length,
            row["megabytes"],
            row.get("predict"),
            row.get("predict_cpu"),
            row.get("timeline"),
            row.get("timeline_cpu"),
        )
        for length, row in figures["length"].items()
    ]
    batches = [(size, row["per_clip_ms"], row["per_clip_cpu_ms"]) for size, row in figures["batch"].items()]
    workers = [
        (count, row["per_second"], row["p50_ms"], row["server_cpu_ms"]) for count, row in figures["workers"].items()
    ]
    return "\n\n".join(
        [
            "## Growth",
            "Clients that never stop asking (a full queue answers 429, which is counted as refused):",
            table(("clip", "clients", "per s", "p50 ms", "p95 ms", "refused"), clients),
            "Length of a clip (VP8, drawn; `/predict` reads three seconds, `/predict/timeline` all), one client:",
            table(("seconds", "MB", "predict ms", "CPU ms", "timeline ms", "CPU ms"), lengths),
            "Clips in one `/predict/batch`, one client:",
            table(("clips", "ms for each", "CPU ms for each"), batches),
            "Decode workers, the recording, eight clients:",
            table(("workers", "per s", "p50 ms", "CPU ms each"), workers),
        ]
    )


def _cold(figures: dict[str, Any]) -> str:
    rows = [(name, row["seconds"], row["megabytes"]) for name, row in figures.items()]
    head = ("server", "seconds to the first answer", "MB after it (proportional set size)")
    return f"## Cold start\n\n{table(head, rows)}"


def _memory(figures: dict[str, Any]) -> str:
    rows = figures["rows"]
    settled = rows[min(len(rows) - 1, max(1, len(rows) // 10)) :]
    growth = settled[-1]["megabytes"] - settled[0]["megabytes"]
    shown = rows[:: max(1, len(rows) // 10)]
    if shown[-1] is not rows[-1]:
        shown.append(rows[-1])
    body = table(("answers", "MB", "per s"), [(row["answers"], row["megabytes"], row["per_second"]) for row in shown])
    return (
        f"## Memory over {rows[-1]['answers']:,} answers\n\nAll processes of gateway and Triton, four clients, "
        f"small whole clips and sampled ones by turns. From answer {settled[0]['answers']:,} on it changed "
        f"by {growth:+.0f} MB; {figures['refused']} requests were refused or failed.\n\n{body}"
    )


def _guard(figures: dict[str, Any]) -> str:
    ratio = figures["server"] / figures["floor"]
    return (
        "## The guard of every test run\n\n"
        f"CPU of the whole server (in-process predictor) for a recording over CPU of bare decoding and the model: "
        f"{ratio:.2f} ({1000 * figures['server']:.0f} over {1000 * figures['floor']:.0f} ms). "
        f"`tests/benchmarks/test_guard.py` fails above {LIMIT}."
    )
