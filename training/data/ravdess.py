"""File names of RAVDESS, which encode label and actor.

Livingstone & Russo 2018, doi 10.1371/journal.pone.0196391: seven two-digit fields, e.g. `03-01-05-01-02-01-12`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

SUFFIXES: Final = (".mp4", ".wav", ".flac", ".webm", ".avi", ".mov", ".mkv")
"""File types to find; RAVDESS comes as mp4 and wav, often repacked as flac."""

_NAME = re.compile(r"(0[1-3])-(0[12])-(0[1-8])-(0[12])-(0[12])-(0[12])-(\d{2})")


@dataclass(frozen=True)
class Performance:
    """The performance in one file.

    Attributes:
        modality: `01` sound and video, `02` video only, `03` sound only.
        channel: `01` speech, `02` song.
        label: Index into the contract's labels.
        actor: 1 to 24; odd numbers are men.
        take: The name without the modality: files of the same take show the same performance.
    """

    modality: str
    channel: str
    label: int
    actor: int
    take: str

    @property
    def is_man(self) -> bool:
        """RAVDESS numbers men odd and women even."""
        return self.actor % 2 == 1


def parse_name(path: Path) -> Performance | None:
    """Parse a file name; None if it is not a RAVDESS name."""
    match = _NAME.fullmatch(path.stem)
    if match is None:
        return None
    modality, channel, emotion, *_, actor = match.groups()
    return Performance(
        modality=modality,
        channel=channel,
        label=int(emotion) - 1,
        actor=int(actor),
        take=path.stem.split("-", 1)[1],
    )


def find_files(folder: Path) -> list[Path]:
    """Find all media files below `folder` with RAVDESS names, sorted.

    Raises:
        FileNotFoundError: The folder is missing or has no such file.
    """
    files = sorted(
        path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and parse_name(path) is not None
    )
    if not files:
        raise FileNotFoundError(f"{folder} has no RAVDESS file; expected names like Actor_01/03-01-01-01-01-01-01.wav.")
    return files
