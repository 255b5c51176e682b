"""Cached features of frozen branches, on top of which fusions are trained.

A pass of the video branch takes a thousand times as long as a pass of a fusion. With cached features, all fusions can
be compared in the time of one epoch of the whole network.
"""

from __future__ import annotations

import hashlib
import os
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from avemotion.preprocessing.contract import FRAMES, LABELS, LOG_MEL, PRESENT
from training.data.augmentation import Augmentation
from training.data.cache import Cache
from training.data.samples import LABEL, ClipSamples
from training.network import EmotionNetwork, NetworkOutput
from training.precision import half_precision

FRAME_FEATURES: Final = "frame_features"
AUDIO_FEATURES: Final = "audio_features"
AUDIO_MAP: Final = "audio_map"

_CLIPS: Final = 16
"""Clips per pass of the video branch."""
_VOICES: Final = 64
"""Voices per pass of the audio branch."""


class FeatureSamples(Dataset[dict[str, Tensor]]):
    """Samples in the form that `EmotionNetwork.fuse` takes.

    Attributes:
        tensors: `frame_features` [N, 8, 512], `audio_features` [N, 128], `audio_map` [N, time, channels], `log_mel`,
            `present` and `label`.
    """

    def __init__(self, tensors: dict[str, Tensor], *, swap_faces: bool = False, seed: int = 0) -> None:
        """Hold features.

        Args:
            tensors: Features, by name.
            swap_faces: Pair each voice with the face of another sample of its label. Sample `k · N + i`, of N, has the
                voice of sample `i` and a face that depends on that number. Only for faces and voices paired by label.
            seed: Seed of the choice of faces.
        """
        self.tensors = tensors
        self._seed = seed
        labels = tensors[LABEL]
        self._same = [torch.nonzero(labels == label).flatten() for label in range(len(LABELS))] if swap_faces else None

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """int64 [N]."""
        return np.asarray(self.tensors[LABEL].numpy())

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """Bool [N, 2]."""
        return np.asarray(self.tensors[PRESENT.name].numpy())

    def __len__(self) -> int:
        return len(self.tensors[LABEL])

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """One sample, without batch dimension."""
        sample = {name: values[number % len(self)] for name, values in self.tensors.items()}
        if self._same is not None:
            same = self._same[int(sample[LABEL])]
            chosen = np.random.default_rng((self._seed, number)).integers(len(same))
            sample[FRAME_FEATURES] = self.tensors[FRAME_FEATURES][same[chosen]]
        return sample


def cached_features(
    network: EmotionNetwork,
    cache: Cache,
    index: npt.NDArray[np.int64],
    part: int,
    *,
    changed: bool = False,
    views: int = 1,
    seed: int = 0,
    workers: int = 0,
    bfloat16: bool = False,
) -> dict[str, Tensor]:
    """Video features of a cache's clips, cached on disk for the next network with the same video branch.

    Args:
        network: Network whose video branch computes the features.
        cache: Cache of decoded clips.
        index: Indices of its clips.
        part: Part of the faces that voices are paired with.
        changed: Augment frames and sound, as in training, but without changed recordings and masks: with these a
            fusion learns to trust voices too little.
        views: Augmented copies of each clip; those of one view are contiguous.
        seed: Seed of faces and augmentation.
        workers: Processes that read samples.
        bfloat16: Compute in bfloat16 if that is faster, in about half the time, to three digits; the result is float32.

    Returns:
        The result of `encode` for views · N samples, without audio features; see `with_audio_features`.
    """
    digest = hashlib.sha256(cache.digest)
    for name, value in network.video.state_dict().items():
        digest.update(name.encode() + value.cpu().numpy().tobytes())
    digest.update(index.tobytes() + repr((part, changed, views, seed, bfloat16)).encode())
    path = cache.folder / "features" / f"{digest.hexdigest()[:16]}.pt"
    if path.is_file():
        tensors: dict[str, Tensor] = torch.load(path, weights_only=True)
    else:
        torch.manual_seed(seed)
        samples = ClipSamples(cache, index, part, seed=seed, copies=changed)
        augmentation = Augmentation(masks=False) if changed else None
        tensors = _encode_frames(
            network, samples, augmentation=augmentation, views=views, workers=workers, bfloat16=bfloat16
        )
        path.parent.mkdir(exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}")
        torch.save(tensors, partial)
        partial.replace(path)
    return tensors


def select(tensors: dict[str, Tensor], index: npt.NDArray[np.int64], views: int = 1) -> dict[str, Tensor]:
    """Select clips, in each of the views."""
    count = len(tensors[LABEL]) // views
    wanted = torch.from_numpy(np.concatenate([index + view * count for view in range(views)]))
    return {name: values[wanted] for name, values in tensors.items()}


@torch.inference_mode()
def with_audio_features(network: EmotionNetwork, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add audio features, which are cheap and are not cached.

    Args:
        network: Network whose audio branch computes them; set to evaluation mode.
        tensors: With `log_mel`, float32 [N, 64, 188].

    Returns:
        The tensors with `audio_features`, float32 [N, 128], and `audio_map`, float32 [N, time, channels].
    """
    network.eval()
    device = next(network.parameters()).device
    parts = torch.split(tensors[LOG_MEL.name], _VOICES)
    encoded = [[each.cpu() for each in network.encode_audio(part.to(device))] for part in parts]
    features, maps = (torch.cat(each) for each in zip(*encoded, strict=True))
    return tensors | {AUDIO_FEATURES: features, AUDIO_MAP: maps}


def encode(network: EmotionNetwork, samples: ClipSamples, *, workers: int = 0) -> dict[str, Tensor]:
    """Compute branch features of samples without augmentation.

    Args:
        network: Network whose branches compute them; set to evaluation mode.
        samples: The samples.
        workers: Processes that read samples.

    Returns:
        `frame_features`, `audio_features`, `audio_map`, `log_mel`, `present` and `label` of N samples.
    """
    return with_audio_features(network, _encode_frames(network, samples, workers=workers))


@torch.inference_mode()
def _encode_frames(
    network: EmotionNetwork,
    samples: ClipSamples,
    *,
    augmentation: Augmentation | None = None,
    views: int = 1,
    workers: int = 0,
    bfloat16: bool = False,
) -> dict[str, Tensor]:
    """Video features of samples, augmented again for each view, with the samples' other tensors."""
    network.eval()
    device = next(network.parameters()).device
    parts: dict[str, list[Tensor]] = {}
    for view in range(views):
        numbers = range(view * len(samples), (view + 1) * len(samples))
        loader = DataLoader(samples, _CLIPS, sampler=numbers, num_workers=workers)
        for batch in tqdm(loader, desc=f"features, view {view + 1} of {views}", mininterval=10):
            changed = batch if augmentation is None else augmentation(batch)
            with half_precision(device, wanted=bfloat16):
                frame_features = network.encode_video(changed[FRAMES.name].to(device))
            encoded = {
                FRAME_FEATURES: frame_features.float(),
                LOG_MEL.name: changed[LOG_MEL.name],
                PRESENT.name: batch[PRESENT.name],
                LABEL: batch[LABEL],
            }
            for name, values in encoded.items():
                parts.setdefault(name, []).append(values.cpu())
    return {name: torch.cat(values) for name, values in parts.items()}


def forward(network: EmotionNetwork, batch: dict[str, Tensor]) -> NetworkOutput:
    """Run a network on a batch of contract inputs or of cached features."""
    if FRAME_FEATURES in batch:
        names = (FRAME_FEATURES, AUDIO_FEATURES, AUDIO_MAP, LOG_MEL.name, PRESENT.name)
        return network.fuse(*(batch[name] for name in names))
    output: NetworkOutput = network(batch[FRAMES.name], batch[LOG_MEL.name], batch[PRESENT.name])
    return output
