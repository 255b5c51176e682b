"""`make fuzz`: mutated files through the decode workers, and what became of them and of the workers' memory.

Exit status 1 means that a file was answered by anything but a result or an error of ours, that one took longer than
its deadline, that the pool was not whole afterwards, or that memory grew.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass

import numpy as np
import psutil

from avemotion.preprocessing.contract import CropMode
from avemotion.preprocessing.errors import EmotionError
from gateway.deadlines import Deadline
from gateway.decode.messages import DecodeTask
from gateway.decode.pool import DecodePool
from gateway.settings import Settings
from gateway.telemetry import Metrics
from tests.fuzz.mutations import mutant, originals

GROWTH_LIMIT = 96 * 2**20
"""Most bytes that the workers together may hold more at the end than after the first tenth: less than what two of
them keep of freed memory (`gateway/malloc_tuning.py`), which some 10,000 files fill and 20,000 more do not exceed."""

TIMEOUT = 10.0
"""Longest time for one file, in seconds: the pool kills what takes longer."""

SLACK = 5.0
"""Seconds beyond that until the answer must be there, on a busy machine."""


@dataclass(frozen=True)
class Outcome:
    """What a run showed.

    Attributes:
        files: Mutated files.
        seconds: Duration of the run.
        answers: How many files were answered with a result (`read`) and with each error.
        unforeseen: Files that were answered by something that is no error of ours.
        late: Files whose answer came after their deadline and the slack.
        slowest_seconds: Longest time for one file, waiting for a worker left out.
        lost_workers: Workers that ended while they decoded.
        memory_start_mib: Memory of all workers after the first tenth, resident and private.
        memory_end_mib: The same at the end.
        whole: Whether a good file was read by every worker at the end.
    """

    files: int
    seconds: float
    answers: dict[str, int]
    unforeseen: list[str]
    late: int
    slowest_seconds: float
    lost_workers: int
    memory_start_mib: float
    memory_end_mib: float
    whole: bool

    @property
    def passed(self) -> bool:
        """Whether the workers did what they should."""
        grown = (self.memory_end_mib - self.memory_start_mib) * 2**20
        return self.whole and not self.unforeseen and not self.late and grown <= GROWTH_LIMIT


async def fuzz(files: int, seed: int, workers: int) -> Outcome:
    """Send mutated files through a pool.

    Args:
        files: Number of files.
        seed: Seed of the mutations; file i of a seed is always the same.
        workers: Number of workers.
    """
    # At least two cores for each file, as threads are what damage might stop; what they notice is read on one again.
    settings = Settings(
        mock=True,
        decode_workers=workers,
        decode_cores=2 * workers,
        decode_timeout=TIMEOUT,
        decode_recycle_after=10**6,
    )
    pool = DecodePool(settings, Metrics())
    await pool.start()
    good = originals()
    answers: Counter[str] = Counter()
    unforeseen: list[str] = []
    times: list[float] = []
    numbers = iter(range(files))
    memory: list[int] = []
    begin = time.monotonic()

    async def send(number: int) -> None:
        random = np.random.default_rng([seed, number])
        data = mutant(good, random)
        started = time.monotonic()
        try:
            await pool.run(_task(data, number), deadline=Deadline.after(3600))
            answers["read"] += 1
        except EmotionError as error:
            answers[error.code] += 1
            if error.code == "decode_failed":
                unforeseen.append(f"file {number}: {error.message}")
        except Exception as error:
            unforeseen.append(f"file {number}: {type(error).__name__}: {error}")
        times.append(time.monotonic() - started)

    async def keep_busy() -> None:
        for number in numbers:
            await send(number)
            if number == files // 10:
                memory.append(_memory())

    try:
        await asyncio.gather(*(keep_busy() for _ in range(workers)))
        memory.append(_memory())
        again = [pool.run(_task(good[0], 0), deadline=Deadline.after(60)) for _ in range(workers)]
        whole = all(result.tensors["present"].any() for result in await asyncio.gather(*again))
    finally:
        await pool.stop()
    return Outcome(
        files=files,
        seconds=round(time.monotonic() - begin, 1),
        answers=dict(answers.most_common()),
        unforeseen=unforeseen,
        late=sum(seconds > TIMEOUT + SLACK for seconds in times),
        slowest_seconds=round(max(times), 2),
        lost_workers=answers["decode_worker_lost"],
        memory_start_mib=round(memory[0] / 2**20, 1),
        memory_end_mib=round(memory[-1] / 2**20, 1),
        whole=whole,
    )


def _task(data: bytes, number: int) -> DecodeTask:
    """Most files go through `/predict`'s task, some through the others; a face is looked for in some, as it is slow."""
    crop: CropMode = "face" if number % 5 == 0 else "none"
    if number % 10 == 8:
        return DecodeTask("timeline", [data], crop)
    if number % 10 == 9:
        return DecodeTask("sampled", [data], crop, has_sound=True)
    return DecodeTask("clip", [data], crop)


def _memory() -> int:
    """Private bytes of all workers."""
    total = 0
    for process in psutil.Process().children(recursive=True):
        if process.ppid() != psutil.Process().pid and any("forkserver" in word for word in process.cmdline()):
            total += process.memory_full_info().uss
    return total


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--files", type=int, default=10_000, help="number of mutated files")
    parser.add_argument("--seed", type=int, default=1, help="seed of the mutations")
    parser.add_argument("--workers", type=int, default=2, help="decode workers")
    arguments = parser.parse_args()
    outcome = asyncio.run(fuzz(arguments.files, arguments.seed, arguments.workers))
    print(json.dumps(asdict(outcome) | {"passed": outcome.passed}, indent=2))
    return not outcome.passed


if __name__ == "__main__":
    sys.exit(main())
