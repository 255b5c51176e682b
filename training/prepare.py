"""Prepare data for training: decode it once, on all cores, into a memory-mapped cache.

A broken file is reported and skipped; a second run continues an interrupted one.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from pathlib import Path

from avemotion.preprocessing.contract import CROP_MODES, LABELS
from avemotion.preprocessing.errors import EmotionError
from training.data.cache import open_cache, write_faces
from training.data.decode import decode_ravdess
from training.data.pairing import face_store
from training.data.waveforms import write_changed_copies


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.prepare ravdess DIR OUT`, `paired …`, `copies OUT`; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        if options.source == "copies":
            write_changed_copies(open_cache(options.output), options.count, workers=options.workers)
            print(f"{options.count} changed copies of every voice in {options.output}")
            return 0
        if options.source == "paired":
            write_faces(options.output, face_store(options.faces))
            broken = decode_ravdess(options.voices, options.output, workers=options.workers)
        else:
            broken = decode_ravdess(options.folder, options.output, crop=options.crop, workers=options.workers)
        print(_summary(options.output))
    except (EmotionError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for sentence in broken:
        print(f"skipped {sentence}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.prepare", description=__doc__)
    sources = parser.add_subparsers(dest="source", required=True)
    ravdess = sources.add_parser("ravdess", help="RAVDESS as it is downloaded: Actor_XX/*.mp4, wav or flac")
    ravdess.add_argument("folder", type=Path)
    ravdess.add_argument("--crop", choices=CROP_MODES, default="face", help="crop mode of frames (default: face)")
    paired = sources.add_parser("paired", help="voices of RAVDESS with faces of FER2013")
    paired.add_argument("--faces", type=Path, required=True, help="fer2013.zip")
    paired.add_argument("--voices", type=Path, required=True, help="folder of RAVDESS audio files")
    copies = sources.add_parser(
        "copies", help="add copies of voices with changed pitch, speed and noise, made by librosa"
    )
    copies.add_argument(
        "--count", type=int, default=4, help="number of copies of each voice; 0 removes them (default: 4)"
    )
    for source in (ravdess, paired, copies):
        source.add_argument("output", type=Path, help="folder of the cache")
        source.add_argument("--workers", type=int, help="number of processes (default: one per core)")
    return parser


def _summary(folder: Path) -> str:
    cache = open_cache(folder)
    counts = Counter(record.label for record in cache.records)
    lines = [
        f"{len(cache.records)} clips of {len(set(cache.actors.tolist()))} actors in {folder}: "
        f"{sum(record.video for record in cache.records)} with video, "
        f"{sum(record.audio for record in cache.records)} with audio",
        ", ".join(f"{label} {counts[index]}" for index, label in enumerate(LABELS)),
    ]
    if cache.faces is not None:
        training, validation, test = (int((cache.faces.parts == part).sum()) for part in range(3))
        lines.append(f"faces: {training} training, {validation} validation, {test} test")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
