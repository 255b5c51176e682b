"""Draws a timeline: in the terminal, or as a PNG file. Each function imports its library, which belongs to an extra."""

from __future__ import annotations

import math
import shutil
from itertools import pairwise
from pathlib import Path
from typing import Any

from avemotion.api.timeline import TimelineResponse
from avemotion.client.errors import needs_extra

_ROWS = 22
_NARROWEST = 60


def draw_in_terminal(timeline: TimelineResponse, *, width: int | None = None, colour: bool = True) -> str:
    """The probability of each emotion over time, as text.

    Args:
        timeline: What to draw.
        width: Columns; None for those of the terminal.
        colour: Whether the terminal shows colours.

    Raises:
        MissingExtraError: plotext is not installed.
    """
    with needs_extra("plot"):
        import plotext  # noqa: PLC0415 (needs an extra)

    figure: Any = plotext.figure
    figure.clear()
    figure.plot_size(width or max(_NARROWEST, shutil.get_terminal_size().columns), _ROWS)
    # plotext aborts the process where a value is NaN.
    seen = [number for number, row in enumerate(timeline.rows) if row.probs is not None]
    breaks = [number for number, (before, after) in enumerate(pairwise(seen), start=1) if after > before + 1]
    centres = _centres(timeline)
    for index, label in enumerate(timeline.labels if seen else []):
        values = _values(timeline, index)
        times, heights = [centres[number] for number in seen], [values[number] for number in seen]
        signal = figure.signal(times, heights, marker="braille").lines().label(label)
        for number in breaks:
            signal.line(number, active=False)
        figure.draw(signal)
    figure.title("expressed emotion, as estimated, in percent over seconds")
    figure.ruler("y").lim(0, 100)
    return str(figure.build().string(colorless=not colour))


def draw_png(timeline: TimelineResponse, path: Path) -> None:
    """The probability of each emotion over time, stacked, as a PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    with needs_extra("plot"):
        from matplotlib.figure import Figure  # noqa: PLC0415 (needs an extra)

    figure = Figure(figsize=(10, 4), layout="constrained")
    axes = figure.subplots()
    shares = [_values(timeline, index) for index in range(len(timeline.labels))]
    axes.stackplot(_centres(timeline), shares, labels=timeline.labels, colors=[f"C{i}" for i in range(len(shares))])
    axes.set(xlabel="time (s)", ylabel="probability (%)", ylim=(0, 100), title="Expressed emotion, as estimated")
    axes.margins(x=0)
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(handles[::-1], labels[::-1], loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    figure.savefig(path, dpi=120)


def _values(timeline: TimelineResponse, label: int) -> list[float]:
    """Probability of one label in each window, in percent; NaN, which leaves a gap, where nobody was found."""
    return [math.nan if row.probs is None else row.probs[label] for row in timeline.rows]


def _centres(timeline: TimelineResponse) -> list[float]:
    """Middle of each window, in seconds."""
    return [(row.start + row.end) / 2 for row in timeline.rows]
