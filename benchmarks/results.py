"""docs/performance.json, which keeps what was measured, and docs/PERFORMANCE.md, which is written from it."""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, ClassVar, Final

import psutil

from avemotion.preprocessing.errors import EmotionError

ROOT: Final = Path(__file__).parents[1]
FOLDER: Final = ROOT / "runs" / "benchmarks"
"""Logs of servers, models that are made for benchmarks, and figures that are not published."""

PUBLISHED: Final = ROOT / "docs" / "performance.json"
TRIAL: Final = FOLDER / "performance.json"

Section = dict[str, Any]
"""What a piece reports: `title`, `text` and `tables`; kept with its `command` and `machine`."""

_PACKAGES: Final = "numpy av opencv-python-headless onnxruntime onnxruntime-gpu fastapi uvicorn tritonclient torch"
_HEAD: Final = """# Performance

`make bench` measures and writes this page; [performance.json](performance.json) has more tables, and the machine, the
versions and the commit of each. Contenders take turns, and figures are medians over the rounds. *One client* waits for
each answer before it sends again; *saturated* means eight such clients. CPU time is the server's, over all cores; the
load driver shares the cores. Load tests with objectives: [LOADTEST.md](LOADTEST.md). To compare the speed of two
checkouts by turns: `python -m benchmarks compare --against CHECKOUT`.
"""


class NotMeasurableError(EmotionError):
    """This machine lacks what a piece needs; what was measured elsewhere is kept."""

    code: ClassVar[str] = "not_measurable"


def section(title: str, text: str, *tables: dict[str, Any]) -> Section:
    """What a piece reports.

    Args:
        title: Title of the section.
        text: What the figures are.
        *tables: The figures, made by `table`.
    """
    return {"title": title, "text": text, "tables": list(tables)}


def table(head: Sequence[str], rows: Sequence[Sequence[Any]], *, on_page: bool = True) -> dict[str, Any]:
    """A table; floats are rounded to four significant digits, None means not measured.

    Args:
        head: Titles of the columns.
        rows: The cells.
        on_page: Whether the page shows it, too.
    """
    return {"head": list(head), "rows": [[_rounded(cell) for cell in row] for row in rows], "on_page": on_page}


def _rounded(cell: Any) -> Any:  # noqa: ANN401 (JSON)
    if isinstance(cell, float):
        return float(f"{cell:.4g}") if math.isfinite(cell) else None  # no answer came; JSON knows no infinity
    return cell


def save(path: Path, piece: str, found: Section, command: str) -> Path:
    """Keep what a piece reports in place of what it reported before; returns the path of the page, which is rewritten.

    Args:
        path: The JSON file; the page lies beside it.
        piece: Name of the piece.
        found: What it reports.
        command: The command that measured it.
    """
    kept = json.loads(path.read_text()) if path.is_file() else {}
    kept[piece] = found | {"command": command, "machine": describe()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
    return write_page(path)


def write_page(path: Path) -> Path:
    """Write the page beside a JSON file; returns its path."""
    kept = json.loads(path.read_text())
    machine = next(iter(kept.values()))["machine"]
    facts = "; ".join(machine[name] for name in ("processor", "memory", "system", "packages"))
    parts = [_HEAD, f"Machine: {facts}. Clips are {machine['clips']}.\n"]
    for found in kept.values():
        note = f"`{found['command']}`, {found['machine']['date']}, commit {found['machine']['commit']}."
        parts.append(f"## {found['title']}\n\n{found['text']} {note}\n")
        parts += [f"{_markdown(one['head'], one['rows'])}\n" for one in found["tables"] if one["on_page"]]
    page = path.with_name("PERFORMANCE.md")
    page.write_text("\n".join(parts))
    return page


def _markdown(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    lines = [head, ["---"] * len(head), *([short(value) for value in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def short(value: Any) -> str:  # noqa: ANN401 (JSON)
    """A figure with three significant digits; a dash if there is none."""
    if isinstance(value, float) and math.isfinite(value):
        return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "–" if value is None or isinstance(value, float) else str(value)


def describe(checkout: Path = ROOT) -> dict[str, str]:
    """The machine, the versions, the clips, and the commit of a checkout."""
    packages = [f"Python {sys.version.split()[0]}", "Triton 2.51.0 (nvidia-pytriton 0.7.0)"]
    for name in _PACKAGES.split():
        with contextlib.suppress(PackageNotFoundError):  # a machine that measures the model alone has few
            packages.append(f"{name} {version(name)}")
    data = Path(os.environ.get("EMO_DATA", ""), "clips")
    git = ["git", "-C", str(checkout), "describe", "--always", "--dirty"]
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": subprocess.run(git, capture_output=True, text=True, check=False).stdout.strip() or "unknown",
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "memory": f"{psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, glibc {platform.libc_ver()[1]}",
        "packages": ", ".join(packages),
        "clips": "real recordings" if data.is_dir() else "synthetic",
    }


def _processor() -> str:
    """Name of the processor, and its instructions that matter to INT8."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    fields = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = fields.get("flags", "").split()
    found = [flag for flag in ("avx2", "avx512f", "avx512_vnni", "avx_vnni", "amx_int8") if flag in flags]
    return f"{fields.get('model name', platform.machine())} ({', '.join(found)})"
