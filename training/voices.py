"""The audio branch as a classifier of single voices, and its training."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.log_mel import log_mel
from training.averaging import AVERAGE_DECAY, move_average
from training.data.augmentation import mix_pairs
from training.data.cache import Cache
from training.data.recordings import RecordingChanges, change_recordings
from training.data.spectrograms import SpeechChanges, changed_log_mel
from training.network import EmotionNetwork, NetworkConfig
from training.network.audio import AudioBranchName
from training.precision import half_precision

_CHANGED_AT_ONCE: Final = 256
_EVALUATED_AT_ONCE: Final = 128


@dataclass(frozen=True)
class Recipe:
    """Hyperparameters of the training.

    Attributes:
        audio_branch: Size of the branch.
        epochs: Passes over the voices.
        batch_size: Voices per step.
        learning_rate: Peak learning rate of AdamW, reached after a tenth of the steps.
        weight_decay: Weight decay of AdamW.
        label_smoothing: Share of the target spread over all classes.
        mixup: Both parameters of the beta distribution of mixup; 0 for none.
        dropout: Dropout probability of the branch's features.
        average: Decay of the running average of weights, per step.
        recorded_epochs: Further passes with changed recordings of some voices; 0 for none.
        recorded_rate: Peak learning rate of these.
        recorded_share: Share of voices whose recording is changed in them.
    """

    audio_branch: AudioBranchName = "deep"
    epochs: int = 45
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    mixup: float = 0.4
    dropout: float = 0.3
    average: float = AVERAGE_DECAY
    recorded_epochs: int = 15
    recorded_rate: float = 5e-4
    recorded_share: float = 0.5


class VoiceModel(nn.Module):
    """The audio branch and its classifier."""

    def __init__(self, dropout: float, audio_branch: AudioBranchName = "deep") -> None:
        super().__init__()
        network = EmotionNetwork(NetworkConfig(audio_branch=audio_branch))
        self.audio, self.audio_classifier = network.audio, network.audio_classifier
        self.dropout = nn.Dropout(dropout)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Logits [B, 8] of log-mel spectrograms [B, 64, 188]."""
        logits: Tensor = self.audio_classifier(self.dropout(self.audio(spectrograms)[0]))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Weights of the branch and its classifier, by their names in `EmotionNetwork`."""
        return {name: value.cpu() for name, value in self.state_dict().items() if name.startswith("audio")}


@dataclass(frozen=True)
class Voices:
    """Voices in the memory of the training device.

    Attributes:
        waveforms: float32 [N, 48000].
        labels: int64 [N].
        actors: int64 [N].
    """

    waveforms: Tensor
    labels: Tensor
    actors: npt.NDArray[np.int64]

    def subset(self, index: npt.NDArray[np.int64]) -> Voices:
        """The voices at some indices."""
        return Voices(self.waveforms[index], self.labels[index], self.actors[index])


def load_voices(cache: Cache, device: torch.device) -> Voices:
    """Load all voices of a cache."""
    waveforms = np.stack([cache.waveform(clip) for clip in range(len(cache.records))])
    return Voices(torch.from_numpy(waveforms).to(device), torch.from_numpy(cache.labels).to(device), cache.actors)


def train_network(voices: Voices, recipe: Recipe, seed: int, name: str) -> VoiceModel:
    """Train one network for a fixed number of epochs, the last ones with changed recordings.

    Args:
        voices: Voices to train on.
        recipe: Hyperparameters.
        seed: Seed of all random draws.
        name: Label of the progress bar.

    Returns:
        The averaged network, set to evaluation mode.
    """
    torch.manual_seed(seed)
    model = VoiceModel(recipe.dropout, recipe.audio_branch).to(voices.labels.device)
    for recorded_share, epochs, rate in (
        (0.0, recipe.epochs, recipe.learning_rate),
        (recipe.recorded_share, recipe.recorded_epochs, recipe.recorded_rate),
    ):
        if epochs:
            model = _fit(model, voices, recipe, epochs=epochs, rate=rate, recorded_share=recorded_share, name=name)
    return model.eval().requires_grad_(False)


def _fit(
    model: VoiceModel,
    voices: Voices,
    recipe: Recipe,
    *,
    epochs: int,
    rate: float,
    recorded_share: float,
    name: str,
) -> VoiceModel:
    """Train with one cycle of the learning rate and return the averaged network."""
    average = copy.deepcopy(model)
    count, device = len(voices.labels), voices.labels.device
    targets = functional.one_hot(voices.labels, len(LABELS)) * (1 - recipe.label_smoothing)
    targets = (targets + recipe.label_smoothing / len(LABELS)) * class_weights(voices.labels)[voices.labels, None]
    steps = count // recipe.batch_size
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * epochs, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for _ in tqdm(range(epochs), desc=name, unit="epoch", mininterval=10):
        order = torch.randperm(count)[: steps * recipe.batch_size].to(device)
        changed = torch.cat(
            [_changed(voices.waveforms[some], recorded_share) for some in torch.split(order, _CHANGED_AT_ONCE)]
        )
        for spectrograms, wanted in zip(
            torch.split(changed, recipe.batch_size), torch.split(targets[order], recipe.batch_size), strict=True
        ):
            mixed, mixed_targets = mix_pairs(spectrograms, wanted, recipe.mixup)
            with half_precision(device):
                logits = model(mixed)
            loss = functional.cross_entropy(logits.float(), mixed_targets)
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            move_average(average, model, schedule.last_epoch, recipe.average)
    return average


def _changed(waveforms: Tensor, recorded_share: float) -> Tensor:
    """Spectrograms with changed pitch, tempo and time, a share of them from changed recordings."""
    if recorded_share:
        chosen = torch.rand(len(waveforms), 1, device=waveforms.device) < recorded_share
        waveforms = torch.where(chosen, change_recordings(waveforms, RecordingChanges()), waveforms)
    return changed_log_mel(waveforms, SpeechChanges())


def class_weights(labels: Tensor) -> Tensor:
    """Float [8], inverse to the frequency of each label, 1 on average over the samples; 0 for absent labels."""
    counts = torch.bincount(labels, minlength=len(LABELS)).float()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    return weights * len(labels) / (weights * counts).sum()


@torch.inference_mode()
def probabilities(model: VoiceModel, waveforms: Tensor) -> npt.NDArray[np.float32]:
    """Class probabilities [N, 8] of waveforms [N, 48000], from the log-mel spectrogram of serving."""
    spectrograms = np.stack([log_mel(waveform) for waveform in waveforms.cpu().numpy()])
    logits = [
        model(part.to(waveforms.device)).cpu()
        for part in torch.split(torch.from_numpy(spectrograms), _EVALUATED_AT_ONCE)
    ]
    probabilities: npt.NDArray[Any] = torch.cat(logits).softmax(dim=1).numpy()
    return probabilities
