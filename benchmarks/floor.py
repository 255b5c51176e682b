"""What a machine can do with a clip where no server runs: decoding and the model, on every core at once.

With nothing but the codec this is the floor: no server can do more with these libraries. FFmpeg decodes both tracks on
one thread and throws everything away, with no conversion, no crop and no spectrogram. With this project's own reader,
which decodes what its window needs, crops and computes the spectrogram, it is what decoding and inference allow its
server. The model runs on one thread, with the batches that suit it. Cores that work at the same time share caches,
memory and, on many clouds, a power budget: one busy core alone promises too much.
"""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier
from typing import Any, Self

import numpy as np

from avemotion.preprocessing.clip import read_clip
from benchmarks.stages import BATCH, bare_decode, run, session

_PATIENCE = 120.0
"""Seconds in which all processes must be there, and have ended their last batch."""


@dataclass(frozen=True)
class _Shift:
    """What one core did: clips in a second, and CPU seconds of each."""

    per_second: float
    cpu: float


class Floor:
    """A process for each core, which sleeps while nothing is measured.

    Attributes:
        clips: Names of the clips.
    """

    def __init__(
        self, model: Path, clips: Mapping[str, bytes], decode: Callable[[bytes], object] = bare_decode
    ) -> None:
        """Start the processes.

        Args:
            model: The ONNX file.
            clips: Files by name.
            decode: What reads a file; a function of a module.
        """
        self.clips = tuple(clips)
        self._cores = len(os.sched_getaffinity(0))
        context = multiprocessing.get_context("spawn")
        barrier = context.Barrier(self._cores)
        self._pool = ProcessPoolExecutor(
            self._cores, context, initializer=_prepare, initargs=(barrier, model, dict(clips), decode)
        )
        self.measure(next(iter(clips)), 0.0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def measure(self, name: str, seconds: float) -> dict[str, float]:
        """Decode a clip and run the model on every core, again and again.

        Args:
            name: Name of the clip.
            seconds: For how long, or for one batch on each core where that takes longer.

        Returns:
            `per_second`, clips of all cores in a second, and `cpu_ms`, CPU milliseconds of each.
        """
        waiting = [self._pool.submit(_work, name, seconds) for _ in range(self._cores)]
        shifts = [future.result(_PATIENCE + seconds) for future in waiting]
        return {
            "per_second": sum(shift.per_second for shift in shifts),
            "cpu_ms": 1000 * sum(shift.cpu for shift in shifts) / len(shifts),
        }


_prepared: dict[str, Any] = {}


def _prepare(barrier: Barrier, model: Path, clips: dict[str, bytes], decode: Callable[[bytes], object]) -> None:
    tensors = read_clip(next(iter(clips.values()))).tensors()
    _prepared.update(
        barrier=barrier,
        clips=clips,
        decode=decode,
        model=session(model),
        batch={key: np.repeat(array, BATCH, axis=0) for key, array in tensors.items()},
    )


def _work(name: str, seconds: float) -> _Shift:
    """The work of one core."""
    clip, model, batch = _prepared["clips"][name], _prepared["model"], _prepared["batch"]
    _prepared["barrier"].wait(_PATIENCE)  # All begin together, and none takes the work of two.
    begin, cpu, clips = time.perf_counter(), time.process_time(), 0
    while not clips or time.perf_counter() < begin + seconds:
        for _ in range(BATCH):
            _prepared["decode"](clip)
        run(model, batch)
        clips += BATCH
    return _Shift(clips / (time.perf_counter() - begin), (time.process_time() - cpu) / clips)
