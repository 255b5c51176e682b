"""The cache of decoded clips: each clip is decoded once, and training reads memory-mapped arrays.

A cache is a folder with `clips.jsonl`, one line per file in the order of the arrays' rows, and `frames.npy` and
`waveforms.npy` with the clips' tensors. Optional are `copies.npy` with changed waveforms, and `faces.npz` for voices
that are paired with faces.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import FRAMES, WINDOW_SAMPLES, CropMode
from avemotion.preprocessing.errors import EmotionError

_CLIPS: Final = "clips.jsonl"
_FRAMES: Final = "frames.npy"
_WAVEFORMS: Final = "waveforms.npy"
_COPIES: Final = "copies.npy"
_FACES: Final = "faces.npz"


class CacheError(EmotionError):
    """A cache is missing or unsuitable."""

    code = "bad_cache"


@dataclass(frozen=True)
class ClipRecord:
    """One file of the cache.

    Attributes:
        file: Path below the data set's folder.
        size: Size in bytes, by which a changed file is noticed.
        digest: SHA-256 of the bytes; equal for byte-identical files.
        take: Equal for files that show the same performance.
        label: Index into the contract's labels.
        actor: Number of the speaker.
        crop: Crop mode of the frames.
        video: Whether it has frames.
        audio: Whether it has sound.
        error: Why the file cannot be used; empty if it can.
    """

    file: str
    size: int
    digest: str
    take: str
    label: int
    actor: int
    crop: CropMode
    video: bool = False
    audio: bool = False
    error: str = ""


@dataclass(frozen=True)
class FaceStore:
    """Faces that are paired with voices.

    Attributes:
        images: uint8 [N, 48, 48], grey.
        labels: int64 [N], indices into the contract's labels.
        parts: int64 [N]: 0 training, 1 validation, 2 test.
    """

    images: npt.NDArray[np.uint8]
    labels: npt.NDArray[np.int64]
    parts: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Cache:
    """Usable clips, memory-mapped.

    Attributes:
        folder: Folder of the cache.
        records: Records of the usable clips.
        rows: int64 [N], the row of each usable clip in the arrays.
        frames: uint8 [rows, 8, 112, 112, 3].
        waveforms: float32 [rows, 48000].
        copies: int16 [copies, rows, 48000], changed waveforms in units of 1/32767; None if there are none.
        faces: Faces for voices; None if clips have their own frames.
    """

    folder: Path
    records: tuple[ClipRecord, ...]
    rows: npt.NDArray[np.int64]
    frames: npt.NDArray[np.uint8]
    waveforms: npt.NDArray[np.float32]
    copies: npt.NDArray[np.int16] | None
    faces: FaceStore | None

    def waveform(self, clip: int, copy: int = 0) -> npt.NDArray[np.float32]:
        """Waveform float32 [48000] of a usable clip; copy 0 is the clip itself, others are its changed copies."""
        row = self.rows[clip]
        if copy == 0 or self.copies is None:
            return np.array(self.waveforms[row])
        return np.asarray(self.copies[copy - 1, row] / np.float32(32767))

    @property
    def waveform_count(self) -> int:
        """Number of waveforms per clip: itself and its changed copies."""
        return 1 if self.copies is None else 1 + len(self.copies)

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N]."""
        return np.array([record.label for record in self.records], np.int64)

    @property
    def actors(self) -> npt.NDArray[np.int64]:
        """int64 [N]."""
        return np.array([record.actor for record in self.records], np.int64)

    @property
    def digest(self) -> bytes:
        """Equal for caches of the same files with the same crop mode, faces and changed copies."""
        digest = hashlib.sha256("".join(_line(record) for record in self.records).encode())
        if self.faces is not None:
            for array in (self.faces.images, self.faces.labels, self.faces.parts):
                digest.update(array.tobytes())
        if self.copies is not None:
            # The copies of one voice identify those of all.
            digest.update(self.copies[:, self.rows[0]].tobytes())
        return digest.digest()

    @property
    def crop(self) -> CropMode:
        """Crop mode of the clips' frames; faces that are paired with voices are cropped around the face."""
        return self.records[0].crop


def open_cache(folder: Path) -> Cache:
    """Open a cache for reading.

    Raises:
        CacheError: The folder is not a cache, or no clip in it is usable.
    """
    if not (folder / _CLIPS).is_file():
        raise CacheError(
            f"{folder} is not a cache of decoded clips; run `python -m training.prepare` on the data set first."
        )
    records = read_records(folder)
    rows = [row for row, record in enumerate(records) if not record.error]
    if not rows:
        raise CacheError(f"None of the {len(records)} files in the cache {folder} is usable.")
    return Cache(
        folder=folder,
        records=tuple(records[row] for row in rows),
        rows=np.array(rows, np.int64),
        frames=np.load(folder / _FRAMES, mmap_mode="r"),
        waveforms=np.load(folder / _WAVEFORMS, mmap_mode="r"),
        copies=np.load(folder / _COPIES, mmap_mode="r") if (folder / _COPIES).is_file() else None,
        faces=_read_faces(folder / _FACES),
    )


def read_records(folder: Path) -> list[ClipRecord]:
    """Records of a cache by row; an incomplete last line after an interruption is dropped."""
    if not (folder / _CLIPS).is_file():
        return []
    records = []
    for line in (folder / _CLIPS).read_text().splitlines():
        try:
            records.append(ClipRecord(**json.loads(line)))
        except json.JSONDecodeError:
            break
    return records


class CacheWriter:
    """Adds clips to a cache one by one; it can be interrupted at any time."""

    def __init__(self, folder: Path, *, keep: Iterable[int], capacity: int) -> None:
        """Open a cache for more clips.

        Args:
            folder: Folder of the cache, which is created.
            keep: Rows to keep; others, whose files have changed or are gone, are dropped.
            capacity: Number of clips to add.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        rows = list(keep)
        records = read_records(folder)
        if capacity or len(rows) < len(records):
            # Copies belong to the former rows.
            (folder / _COPIES).unlink(missing_ok=True)
        capacity += len(rows)
        self._frames = _resized(folder / _FRAMES, rows, (capacity, *FRAMES.shape), np.dtype(FRAMES.dtype))
        self._waveforms = _resized(folder / _WAVEFORMS, rows, (capacity, WINDOW_SAMPLES), np.dtype(np.float32))
        temporary = folder / f"{_CLIPS}.new"
        temporary.write_text("".join(_line(records[row]) for row in rows))
        temporary.replace(folder / _CLIPS)
        self._next = len(rows)

    def add(
        self,
        record: ClipRecord,
        frames: npt.NDArray[np.uint8] | None,
        waveform: npt.NDArray[np.float32] | None,
    ) -> None:
        """Write one clip: its tensors first, so that every line of the index has its tensors."""
        if frames is not None:
            self._frames[self._next] = frames
        if waveform is not None:
            self._waveforms[self._next] = waveform
        with (self._folder / _CLIPS).open("a") as index:
            index.write(_line(record))
        self._next += 1


def write_faces(folder: Path, faces: FaceStore) -> None:
    """Write faces for the voices of a cache."""
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"new-{_FACES}"
    np.savez(temporary, pictures=faces.images, labels=faces.labels, parts=faces.parts)
    temporary.replace(folder / _FACES)


@contextmanager
def write_copies(cache: Cache, count: int) -> Iterator[npt.NDArray[np.int16]]:
    """Yield an array [count, rows, 48000] for changed waveforms, which finally replaces an existing one.

    Args:
        cache: The cache.
        count: Number of copies of each waveform; 0 removes existing ones.
    """
    path = cache.folder / _COPIES
    if not count:
        path.unlink(missing_ok=True)
        yield np.empty((0, *cache.waveforms.shape), np.int16)
        return
    temporary = cache.folder / f"new-{_COPIES}"
    array = np.lib.format.open_memmap(temporary, "w+", np.dtype(np.int16), (count, *cache.waveforms.shape))
    try:
        yield np.asarray(array)
        array.flush()
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def holds_faces(folder: Path) -> bool:
    """Whether a cache pairs voices with faces."""
    return (folder / _FACES).is_file()


def _read_faces(path: Path) -> FaceStore | None:
    if not path.is_file():
        return None
    with np.load(path) as arrays:
        return FaceStore(arrays["pictures"], arrays["labels"], arrays["parts"])


def _resized(path: Path, rows: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]) -> npt.NDArray[Any]:
    """A writable memory-mapped array that starts with the kept rows; rows not yet written take no disk space."""
    old = np.load(path, mmap_mode="r+") if path.is_file() else None
    if old is not None and old.shape == shape and rows == list(range(len(rows))):
        return np.asarray(old)
    temporary = path.with_suffix(".new")
    new = np.lib.format.open_memmap(temporary, "w+", dtype, shape)
    if old is not None:
        for to, row in enumerate(rows):
            new[to] = old[row]
    new.flush()
    temporary.replace(path)
    return np.asarray(np.load(path, mmap_mode="r+"))


def _line(record: ClipRecord) -> str:
    return json.dumps(asdict(record)) + "\n"
