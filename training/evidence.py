"""Train the parts of a network that tell whether anybody is there: a face in the frames, a voice in the sound.

An emotion classifier answers about anything: noise, walls, music. The face head learns on the features of the trained
video branch, which stays as it is, and the voice detector on spectrograms: from faces and voices, against pictures and
sounds without any. Every reported figure is of actors and files that were not trained on.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from avemotion.preprocessing.contract import INPUTS, LOWEST_EVIDENCE
from avemotion.preprocessing.errors import EmotionError
from avemotion.preprocessing.log_mel import log_mel
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.data.cache import Cache, open_cache
from training.data.examples import Examples
from training.data.face_examples import face_examples
from training.data.samples import ClipSamples
from training.data.splits import split_clips
from training.data.voice_examples import voice_examples
from training.exported import read_exported
from training.network import EmotionNetwork
from training.network.emotion import FaceHead
from training.network.voice import VoiceDetector

_ENCODED_AT_ONCE: Final = 64
_LABEL_SMOOTHING: Final = 0.02
_WEIGHT_DECAY: Final = 1e-2

_BAND_SHARE: Final = 0.3
"""Share of the spectrograms of which a band is left out."""

_WIDEST_BAND: Final = 8
"""Mel bins of the widest band."""

_EXAMPLES: Final = 32
"""Clips that set the statistics of the batch normalisations of an exported model."""


def main(arguments: list[str] | None = None) -> int:
    """Command line: `python -m training.evidence MODEL CACHE …`; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m training.evidence", description=__doc__)
    parser.add_argument("model", type=Path, help="checkpoint of training.train, or exported .onnx file")
    parser.add_argument("cache", type=Path, help="folder written by training.prepare: its voices and faces")
    parser.add_argument("--sounds", type=Path, nargs="+", default=[], help="folders of recordings without a voice")
    parser.add_argument("--voices", type=Path, nargs="+", default=[], help="folders of recordings of further voices")
    parser.add_argument("--pictures", type=Path, nargs="+", default=[], help="folders of pictures without a face")
    parser.add_argument("--faces", type=Path, nargs="+", default=[], help="folders of pictures of further faces")
    parser.add_argument("--output", type=Path, default=Path("checkpoints/best.pt"), help="checkpoint to write")
    parser.add_argument("--face_epochs", type=int, default=60, help="passes over the pictures (default 60)")
    parser.add_argument("--voice_epochs", type=int, default=12, help="passes over the sounds (default 12)")
    parser.add_argument("--seed", type=int, default=0, help="seed of all random draws (default 0)")
    options = parser.parse_args(arguments)
    try:
        cache = open_cache(options.cache)
        checkpoint = _load(options.model, cache)
        network = checkpoint.network()
        seed = options.seed
        sounds = voice_examples(cache, options.voices, options.sounds, seed=seed)
        spectrograms = spectrograms_of(sounds.inputs)
        pictures = face_examples(cache, options.faces, options.pictures, seed=seed)
        features = encode_pictures(network, pictures.inputs)
        voice, face = network.voice_evidence, network.face_evidence
        report = {
            "voice": train_voice_detector(voice, spectrograms, sounds, epochs=options.voice_epochs, seed=seed),
            "face": train_face_head(face, features, pictures, epochs=options.face_epochs, seed=seed),
        }
    except (EmotionError, FileNotFoundError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    metrics = checkpoint.metrics | {"evidence": report}
    save_checkpoint(options.output, replace(checkpoint, weights=network.state_dict(), metrics=metrics))
    print(json.dumps(report, indent=2))
    print(f"wrote {options.output}")
    return 0


def train_face_head(
    head: FaceHead, features: Tensor, examples: Examples, *, epochs: int, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Fit the face head to features of pictures, and measure it on unseen ones.

    Args:
        head: Changed in place.
        features: float [N, 512] of all examples.
        examples: Which of them are faces, and which are trained on.
        epochs: Passes over the examples.
        seed: Seed of all random draws.

    Returns:
        For each kind of unseen examples, their number and the share that the head gets wrong.
    """
    seen = features[torch.from_numpy(np.flatnonzero(examples.training))]
    mean, deviation = seen.mean(dim=0), seen.std(dim=0) + 1e-3
    _train(head, (features - mean) / deviation, examples, _Recipe(epochs, batch_size=256, peak_rate=3e-3, seed=seed))
    _fold_scaling(head, mean, deviation)
    return _errors(head, features, examples)


def train_voice_detector(
    detector: VoiceDetector, spectrograms: Tensor, examples: Examples, *, epochs: int, seed: int = 0
) -> dict[str, dict[str, float]]:
    """Fit the voice detector to spectrograms, moved in time and with bands left out, and measure it on unseen ones.

    Args:
        detector: Changed in place.
        spectrograms: float16 [N, 64, 188] of all examples.
        examples: Which of them hold a voice, and which are trained on.
        epochs: Passes over the examples.
        seed: Seed of all random draws.

    Returns:
        For each kind of unseen examples, their number and the share that the detector gets wrong.
    """
    recipe = _Recipe(epochs, batch_size=64, peak_rate=4e-3, seed=seed)
    _train(detector, spectrograms, examples, recipe, change=_change_spectrograms)
    return _errors(detector, spectrograms, examples)


@dataclass(frozen=True)
class _Recipe:
    """Hyperparameters of AdamW, whose learning rate follows one cycle."""

    epochs: int
    batch_size: int
    peak_rate: float
    seed: int


def _train(
    module: nn.Module,
    inputs: Tensor,
    examples: Examples,
    recipe: _Recipe,
    change: Callable[[Tensor], Tensor] = lambda batch: batch,
) -> None:
    """Fit a module that maps inputs to a logit; both classes weigh alike."""
    torch.manual_seed(recipe.seed)
    wanted = torch.from_numpy(examples.positive).float()
    index = torch.from_numpy(np.flatnonzero(examples.training))
    share = wanted[index].mean()
    weights = torch.where(wanted > 0, 0.5 / share, 0.5 / (1 - share))
    targets = wanted * (1 - _LABEL_SMOOTHING) + _LABEL_SMOOTHING / 2
    for layer in module.modules():
        if isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Linear | nn.BatchNorm2d):
            layer.reset_parameters()
    module.requires_grad_(True).train()
    steps = max(1, len(index) // recipe.batch_size)
    optimizer = torch.optim.AdamW(module.parameters(), recipe.peak_rate, weight_decay=_WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.peak_rate, total_steps=steps * recipe.epochs)
    for _ in range(recipe.epochs):
        for batch in index[torch.randperm(len(index))][: steps * recipe.batch_size].tensor_split(steps):
            logits = module(change(inputs[batch].float()))[:, 0]
            loss = functional.binary_cross_entropy_with_logits(logits, targets[batch], weight=weights[batch])
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
    module.eval()


def _change_spectrograms(batch: Tensor) -> Tensor:
    """Turn each spectrogram [64, 188] in time, and fill a band of some with its mean."""
    changed = torch.empty_like(batch)
    for number, spectrogram in enumerate(batch):
        changed[number] = spectrogram.roll(int(torch.randint(spectrogram.shape[1], ())), dims=1)
        if torch.rand(()) < _BAND_SHARE:
            first = int(torch.randint(spectrogram.shape[0] - 1, ()))
            changed[number, first : first + int(torch.randint(1, _WIDEST_BAND + 1, ()))] = spectrogram.mean()
    return changed


@torch.no_grad()
def _fold_scaling(head: FaceHead, mean: Tensor, deviation: Tensor) -> None:
    """Let the first layer take features as they come, in place of standardised ones."""
    head.hidden.weight.copy_(head.hidden.weight / deviation)
    head.hidden.bias.copy_(head.hidden.bias - head.hidden.weight @ mean)


@torch.inference_mode()
def _errors(module: nn.Module, inputs: Tensor, examples: Examples) -> dict[str, dict[str, float]]:
    unseen = np.flatnonzero(~examples.training)
    batches = torch.from_numpy(unseen).tensor_split(len(unseen) // _ENCODED_AT_ONCE + 1)
    logits = torch.cat([module(inputs[batch].float())[:, 0] for batch in batches])
    accepted = (logits.sigmoid() >= LOWEST_EVIDENCE).numpy()
    wrong, kinds = accepted != examples.positive[unseen], np.array(examples.kinds)[unseen]
    return {
        str(kind): {"examples": int((kinds == kind).sum()), "wrong": round(float(wrong[kinds == kind].mean()), 4)}
        for kind in np.unique(kinds)
    }


def spectrograms_of(waveforms: Sequence[npt.NDArray[np.float32]]) -> Tensor:
    """Log-mel spectrograms float16 [N, 64, 188] of waveforms [48000]."""
    return torch.from_numpy(np.stack([log_mel(waveform).astype(np.float16) for waveform in waveforms]))


@torch.inference_mode()
def encode_pictures(network: EmotionNetwork, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
    """Features float [N, 512] of crops uint8 [112, 112, 3], each as a clip that stands still."""
    parts = []
    for first in range(0, len(pictures), _ENCODED_AT_ONCE):
        frames = torch.from_numpy(np.stack(pictures[first : first + _ENCODED_AT_ONCE]))
        parts.append(network.encode_video(frames[:, None])[:, 0])
    return torch.cat(parts)


def _load(path: Path, cache: Cache) -> Checkpoint:
    if path.suffix != ".onnx":
        return load_checkpoint(path)
    samples = ClipSamples(cache, split_clips(cache, "subject").training[:_EXAMPLES])
    batch = [samples[number] for number in range(len(samples))]
    return read_exported(path, {spec.name: torch.stack([each[spec.name] for each in batch]) for spec in INPUTS})


if __name__ == "__main__":
    sys.exit(main())
