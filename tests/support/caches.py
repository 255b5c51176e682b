"""Prepared data drawn at test time: sound and pictures in which each label is easy to tell."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.contract import FRAMES, LABELS, SAMPLE_RATE, WINDOW_SAMPLES
from training.data.cache import Cache, CacheWriter, ClipRecord, FaceStore, open_cache, write_faces
from training.data.fer2013 import FACE_SIDE, LABEL_OF_CLASS


def tone(label: int, random: np.random.Generator) -> npt.NDArray[np.float32]:
    """One window of a tone whose pitch tells the label, in noise."""
    seconds = np.arange(WINDOW_SAMPLES) / SAMPLE_RATE
    pitch = 200 * 1.5**label * random.uniform(0.98, 1.02)
    noise = random.normal(0, 0.02, WINDOW_SAMPLES)
    return (0.5 * np.sin(2 * np.pi * pitch * seconds) + noise).astype(np.float32)


def picture(label: int, random: np.random.Generator) -> npt.NDArray[np.uint8]:
    """A grey picture whose bright stripe tells the label, in noise."""
    drawn = random.integers(0, 60, (FACE_SIDE, FACE_SIDE), dtype=np.uint8)
    width = FACE_SIDE // len(LABELS)
    drawn[:, label * width : (label + 1) * width] += 180
    return drawn


def synthetic_cache(
    folder: Path, *, actors: Iterable[int] = range(1, 13), takes: int = 1, paired: bool = True, seed: int = 0
) -> Cache:
    """Write and open a cache with clips of every label by every actor.

    Args:
        folder: Folder of the cache.
        actors: Their numbers.
        takes: Clips of each label by each actor.
        paired: Voices with faces beside them, instead of clips with frames.
        seed: Seed of the noise.
    """
    random = np.random.default_rng(seed)
    wanted = [(actor, label, take) for actor in actors for label in range(len(LABELS)) for take in range(takes)]
    writer = CacheWriter(folder, keep=[], capacity=len(wanted))
    for actor, label, take in wanted:
        name = f"01-{label + 1:02}-01-01-{take + 1:02}-{actor:02}"
        record = ClipRecord(
            file=f"Actor_{actor:02}/03-{name}.wav",
            size=1,
            digest=name,
            take=name,
            label=label,
            actor=actor,
            crop="face",
            video=not paired,
            audio=True,
        )
        frames = None if paired else np.full(FRAMES.shape, 30 * label, np.uint8)
        writer.add(record, frames, tone(label, random))
    if paired:
        write_faces(folder, draw_faces(random))
    return open_cache(folder)


def draw_faces(random: np.random.Generator, each: int = 2) -> FaceStore:
    """Some faces of every class of FER2013 in every part."""
    labels = [LABELS.index(label) for label in LABEL_OF_CLASS.values()]
    wanted = [(part, label) for part in range(3) for label in labels for _ in range(each)]
    return FaceStore(
        images=np.stack([picture(label, random) for _, label in wanted]),
        labels=np.array([label for _, label in wanted]),
        parts=np.array([part for part, _ in wanted]),
    )
