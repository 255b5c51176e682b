"""Decoding of a data set, once and on all cores, into a cache.

Each file is decoded in a process that may crash or hang without stopping the others. Such a file is reported, marked in
the cache, and skipped.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import TimeoutError as DecodeTimeoutError
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from pebble import ProcessExpired, ProcessPool
from tqdm import tqdm

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.errors import MediaError
from training.data.cache import CacheWriter, ClipRecord, read_records
from training.data.ravdess import find_files, parse_name

SECONDS_PER_FILE: Final = 120.0
"""Limit of the time for one file."""

Decoded = tuple[ClipRecord, npt.NDArray[np.uint8] | None, npt.NDArray[np.float32] | None]


def decode_ravdess(folder: Path, cache: Path, *, crop: CropMode = "face", workers: int | None = None) -> list[str]:
    """Decode every RAVDESS file that the cache lacks, and drop files that are gone or have changed.

    Args:
        folder: The data set as it is downloaded.
        cache: Folder of the cache.
        crop: Crop mode of frames.
        workers: Number of processes; one per core by default.

    Returns:
        One sentence for each file that cannot be used.

    Raises:
        FileNotFoundError: The folder has no RAVDESS file.
    """
    files = {str(path.relative_to(folder)): path for path in find_files(folder)}
    records = read_records(cache)
    keep = [
        row
        for row, record in enumerate(records)
        if record.file in files and record.size == files[record.file].stat().st_size and record.crop == crop
    ]
    known = {records[row].file for row in keep}
    pending = [describe(folder, path, crop) for name, path in files.items() if name not in known]
    writer = CacheWriter(cache, keep=keep, capacity=len(pending))
    broken = [f"{records[row].file}: {records[row].error}" for row in keep if records[row].error]
    progress = tqdm(_decode_all(folder, pending, workers), total=len(pending), unit="clip", disable=None)
    for record, frames, waveform in progress:
        writer.add(record, frames, waveform)
        if record.error:
            broken.append(f"{record.file}: {record.error}")
    return broken


def describe(folder: Path, path: Path, crop: CropMode) -> ClipRecord:
    """Make the record of a file from its name and bytes, before it is decoded.

    Raises:
        ValueError: The name is not a RAVDESS name.
    """
    performance = parse_name(path)
    if performance is None:
        raise ValueError(f"{path.name} is not a RAVDESS file name")
    return ClipRecord(
        file=str(path.relative_to(folder)),
        size=path.stat().st_size,
        digest=hashlib.sha256(path.read_bytes()).hexdigest(),
        take=performance.take,
        label=performance.label,
        actor=performance.actor,
        crop=crop,
    )


def decode(path: Path, record: ClipRecord) -> Decoded:
    """Decode one file; the record of a file that cannot be used holds the error."""
    try:
        clip = read_clip(path, crop=record.crop)
    except MediaError as error:
        return replace(record, error=error.message), None, None
    video, audio = (bool(there) for there in clip.present)
    if not video and not audio:
        return replace(record, error=" ".join(clip.missing.values())), None, None
    return (
        replace(record, video=video, audio=audio),
        clip.frames if video else None,
        clip.waveform if audio else None,
    )


def _decode_all(folder: Path, records: Sequence[ClipRecord], workers: int | None) -> Iterator[Decoded]:
    if not records:
        return
    # Spawned processes: forked ones would inherit locks of this process's threads.
    context = multiprocessing.get_context("spawn")
    count = min(workers or os.cpu_count() or 1, len(records))
    with ProcessPool(max_workers=count, context=context) as pool:
        paths = [folder / record.file for record in records]
        results = pool.map(decode, paths, records, timeout=SECONDS_PER_FILE).result()
        for record in records:
            try:
                yield next(results)
            except DecodeTimeoutError:
                yield replace(record, error=f"Decoding took longer than {SECONDS_PER_FILE:g} s."), None, None
            except ProcessExpired:
                yield replace(record, error="The decoder crashed."), None, None
