"""Samples of a cache as network inputs: clips with their own frames, or voices paired with faces."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from avemotion.preprocessing.contract import FRAMES, LOG_MEL, PRESENT
from avemotion.preprocessing.log_mel import log_mel
from training.data.cache import Cache
from training.data.motion import moving_face
from training.data.pairing import TRAINING, matching_faces
from training.data.recordings import RecordingChanges, change_recordings

LABEL = "label"
_VOICE = 1
"""Separates the random draws of a voice from those of a face."""


class ClipSamples(Dataset[dict[str, Tensor]]):
    """Clips of a cache as contract inputs with a label.

    By default clips are unchanged. On request, voices are the cache's changed copies, or have changed recordings. If
    the cache has faces for its voices, each voice gets a face of the same emotion. Sample `k · N + i`, of N, is sample
    `i` with another face and another motion, which depend only on the seed and that number.
    """

    def __init__(
        self,
        cache: Cache,
        index: npt.NDArray[np.int64],
        part: int = TRAINING,
        *,
        seed: int = 0,
        copies: bool = False,
        recordings: bool = False,
    ) -> None:
        """Choose clips.

        Args:
            cache: The cache.
            index: Indices of its usable clips.
            part: Part of the faces for voices: `pairing.TRAINING`, `VALIDATION` or `TEST`.
            seed: Seed of faces, motion and voices.
            copies: Whether to choose among a voice and its changed copies, if the cache has any.
            recordings: Whether to change recordings.
        """
        self._cache = cache
        self._index = index
        self._seed = seed
        self._waveforms = cache.waveform_count if copies else 1
        self._recordings = RecordingChanges() if recordings else None
        self._faces = (
            None if cache.faces is None else [cache.faces.images[index] for index in matching_faces(cache.faces, part)]
        )

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N]."""
        return self._cache.labels[self._index]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Bool [N, 2]: whether each sample has video, whether it has audio."""
        paired = self._faces is not None
        records = [self._cache.records[clip] for clip in self._index]
        return np.array([(record.video or paired, record.audio) for record in records])

    def __len__(self) -> int:
        return len(self._index)

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One sample: `frames`, `log_mel`, `present` and `label`, without batch dimension."""
        tensors = self.arrays(number)
        return {name: torch.from_numpy(value) for name, value in tensors.items()}

    def arrays(self, number: int) -> dict[str, npt.NDArray[Any]]:
        """One sample as numpy arrays."""
        clip = int(self._index[number % len(self)])
        record, row = self._cache.records[clip], self._cache.rows[clip]
        spectrogram = np.zeros(LOG_MEL.shape, LOG_MEL.dtype)
        if record.audio:
            spectrogram = log_mel(self._waveform(clip, number))
        if record.video:
            frames = np.array(self._cache.frames[row])
        elif self._faces is not None:
            random = np.random.default_rng((self._seed, number))
            frames = moving_face(random.choice(self._faces[record.label]), random)
        else:
            frames = np.zeros(FRAMES.shape, FRAMES.dtype)
        return {
            FRAMES.name: frames,
            LOG_MEL.name: spectrogram,
            PRESENT.name: np.array((record.video or self._faces is not None, record.audio), PRESENT.dtype),
            LABEL: np.array(record.label, np.int64),
        }

    def _waveform(self, clip: int, number: int) -> npt.NDArray[np.float32]:
        random = np.random.default_rng((self._seed, number, _VOICE))
        waveform = self._cache.waveform(clip, int(random.integers(self._waveforms)))
        if self._recordings is None:
            return waveform
        generator = torch.Generator().manual_seed(int(random.integers(2**32)))
        return change_recordings(torch.from_numpy(waveform[None]), self._recordings, generator)[0].numpy()
