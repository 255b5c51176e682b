"""Train the audio branch alone on the voices of RAVDESS, and say how it does with people it has never heard.

The network that is kept is a running average of the weights that training passes through. Classes count alike, for
RAVDESS has half as many neutral voices as others. Every reported number is of actors that were not trained on, and
the number of epochs is fixed, so that no held-out voice chooses when to stop.
"""

from __future__ import annotations

import argparse
import copy
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from tqdm import tqdm

from preprocessing.contract import LABELS
from preprocessing.log_mel import log_mel
from training.averaging import AVERAGE_DECAY, move_average
from training.checkpoint import save_branch
from training.data.cache import Cache, open_cache
from training.data.recordings import RecordingChanges, change_recording
from training.data.spectrograms import SpectrogramChanges, change_spectrograms
from training.data.splits import FOLDS, actor_folds, split_clips
from training.metrics import unweighted_recall
from training.network import EmotionNetwork, NetworkConfig
from training.precision import half_precision

FloatArray = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes:
        epochs: Passes over the voices.
        batch_size: Voices per step.
        learning_rate: Highest rate of AdamW, reached after a tenth of the steps.
        weight_decay: AdamW's.
        label_smoothing: Share of the target spread over all classes.
        mixup: Both parameters of the beta distribution by which two voices are mixed; 0 for none.
        dropout: Share of the branch's features that are dropped.
        average: Decay of the running average of weights, per step; 0 keeps the last weights.
        balanced: Weigh each class by its rarity.
        recorded_epochs: Further passes, over voices of which half are recorded otherwise; 0 for none.
        recorded_rate: Highest learning rate of these.
        recordings: How many recordings of each voice with other noise and silence there are.
    """

    epochs: int = 40
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    mixup: float = 0.4
    dropout: float = 0.0
    average: float = AVERAGE_DECAY
    balanced: bool = True
    recorded_epochs: int = 12
    recorded_rate: float = 5e-4
    recordings: int = 7


class VoiceModel(nn.Module):
    """The audio branch and its classifier."""

    def __init__(self, dropout: float) -> None:
        super().__init__()
        network = EmotionNetwork(NetworkConfig())
        self.audio, self.audio_classifier = network.audio, network.audio_classifier
        self.dropout = nn.Dropout(dropout)

    def forward(self, spectrograms: Tensor) -> Tensor:
        """Logits [B, 8] of log-mel spectrograms [B, 64, 188]."""
        logits: Tensor = self.audio_classifier(self.dropout(self.audio(spectrograms)))
        return logits

    def weights(self) -> dict[str, Tensor]:
        """Weights of the branch and its classifier, by the names they have in `EmotionNetwork`."""
        return {name: value for name, value in self.state_dict().items() if name.startswith("audio")}


@dataclass(frozen=True)
class Voices:
    """Voices in memory.

    Attributes:
        spectrograms: float32 [1 + copies, N, 64, 188]: voices as they are, and changed copies of them.
        recorded: float32 [recordings, N, 64, 188]: either, recorded otherwise.
        labels: int64 [N].
        actors: int64 [N].
    """

    spectrograms: Tensor
    recorded: Tensor
    labels: Tensor
    actors: npt.NDArray[np.int64]

    def subset(self, index: npt.NDArray[np.int64]) -> Voices:
        """Some of them."""
        return Voices(self.spectrograms[:, index], self.recorded[:, index], self.labels[index], self.actors[index])


def load_voices(cache: Cache, recordings: int = 0, seed: int = 0) -> Voices:
    """Spectrograms of all clips of a cache, of their changed copies, and of other recordings of either."""
    clips, copies = range(len(cache.records)), cache.waveform_count
    spectrograms = np.stack(
        [np.stack([log_mel(cache.waveform(clip, copy)) for clip in clips]) for copy in range(copies)]
    )
    recorded = np.empty((recordings, *spectrograms.shape[1:]), np.float32)
    for recording in tqdm(range(recordings), desc="recordings", mininterval=10):
        random = np.random.default_rng((seed, recording))
        for clip in clips:
            waveform = cache.waveform(clip, int(random.integers(copies)))
            recorded[recording, clip] = log_mel(change_recording(waveform, random, RecordingChanges()))
    return Voices(
        torch.from_numpy(spectrograms), torch.from_numpy(recorded), torch.from_numpy(cache.labels), cache.actors
    )


def train_network(voices: Voices, recipe: Recipe, seed: int, name: str) -> VoiceModel:
    """Train one network for a fixed number of epochs, on voices as they are and then recorded otherwise.

    Learning both from the start costs recall on voices as they are.
    """
    torch.manual_seed(seed)
    model = VoiceModel(recipe.dropout)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    model = _fit(
        model,
        voices.spectrograms,
        voices.labels,
        recipe,
        epochs=recipe.epochs,
        rate=recipe.learning_rate,
        seed=seed,
        name=name,
    )
    if recipe.recorded_epochs and len(voices.recorded):
        model = train_recorded(model, voices, recipe, seed, name)
    return model.eval().requires_grad_(False)


def train_recorded(model: VoiceModel, voices: Voices, recipe: Recipe, seed: int, name: str) -> VoiceModel:
    """Train a network further, on voices of which half are recorded otherwise."""
    torch.manual_seed(seed + 1)
    plain = voices.spectrograms[torch.arange(len(voices.recorded)) % len(voices.spectrograms)]
    variants = torch.cat((plain, voices.recorded))
    model.requires_grad_(True)
    return _fit(
        model,
        variants,
        voices.labels,
        recipe,
        epochs=recipe.recorded_epochs,
        rate=recipe.recorded_rate,
        seed=seed + 1,
        name=f"{name}, recorded otherwise",
    )


def _fit(
    model: VoiceModel,
    variants: Tensor,
    labels: Tensor,
    recipe: Recipe,
    *,
    epochs: int,
    rate: float,
    seed: int,
    name: str,
) -> VoiceModel:
    """Train on one of the variants [variants, N, 64, 188] of each voice at a time; return the averaged network."""
    random = np.random.default_rng(seed)
    average = copy.deepcopy(model)
    weights = class_weights(labels) if recipe.balanced else torch.ones(len(LABELS))
    steps = len(labels) // recipe.batch_size
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, rate, total_steps=steps * epochs, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for _ in tqdm(range(epochs), desc=name, unit="epoch", mininterval=10):
        order = torch.from_numpy(random.permutation(len(labels)))
        for index in order[: steps * recipe.batch_size].view(steps, recipe.batch_size):
            chosen = torch.from_numpy(random.integers(len(variants), size=recipe.batch_size))
            spectrograms = change_spectrograms(variants[chosen, index], SpectrogramChanges())
            targets = functional.one_hot(labels[index], len(LABELS)) * (1 - recipe.label_smoothing)
            targets = (targets + recipe.label_smoothing / len(LABELS)) * weights[labels[index], None]
            if recipe.mixup:
                share = float(random.beta(recipe.mixup, recipe.mixup))
                partner = torch.from_numpy(random.permutation(recipe.batch_size))
                spectrograms = share * spectrograms + (1 - share) * spectrograms[partner]
                targets = share * targets + (1 - share) * targets[partner]
            with half_precision(spectrograms.device):
                logits = model(spectrograms)
            loss = functional.cross_entropy(logits.float(), targets)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            move_average(average, model, schedule.last_epoch, recipe.average)
    return average


def class_weights(labels: Tensor) -> Tensor:
    """Float [8], inverse to how often each label occurs, 1 on average over the samples; 0 where it never does."""
    counts = torch.bincount(labels, minlength=len(LABELS)).float()
    weights = torch.where(counts > 0, 1 / counts.clamp(min=1), 0.0)
    return weights * len(labels) / (weights * counts).sum()


@torch.inference_mode()
def probabilities(model: VoiceModel, spectrograms: Tensor) -> FloatArray:
    """Class probabilities [N, 8]."""
    return np.asarray(torch.cat([model(part) for part in torch.split(spectrograms, 128)]).softmax(dim=1).numpy())


def save_voice_branch(model: VoiceModel, voices: Voices, path: Path) -> None:
    """Write a branch and whom it was trained on, so that nothing that starts from it is tested on them."""
    save_branch(path, model.weights(), {"training_actors": np.unique(voices.actors).tolist()})


def cross_validate(voices: Voices, cache: Cache, recipe: Recipe, seed: int, output: Path) -> None:
    """Train on all folds but one, for each; write their networks, and `voices.json` after every fold."""
    folds, labels = actor_folds(cache), cache.labels
    found = np.zeros((len(folds), len(LABELS)), np.float32)
    for fold in range(FOLDS):
        split = split_clips(cache, "kfold", fold=fold, train_on_validation=True)
        training = voices.subset(split.training)
        model = train_network(training, recipe, seed + 100 * fold, f"fold {fold + 1} of {FOLDS}")
        found[split.test] = probabilities(model, voices.spectrograms[0, split.test])
        save_voice_branch(model, training, output / f"fold-{fold}.pt")
        report = {"recipe": asdict(recipe), "seed": seed, **_by_fold(found, labels, folds, fold + 1)}
        (output / "voices.json").write_text(json.dumps(report, indent=2) + "\n")
        heard = unweighted_recall(probabilities(model, training.spectrograms[0]), training.labels.numpy())
        print(json.dumps({"fold": fold, "training_recall": round(heard, 4), **report}), flush=True)


def train_mixed(voices: Voices, cache: Cache, recipe: Recipe, seed: int, output: Path) -> None:
    """Train on the split that mixes actors, for the number that `training.evaluate --kfold` warns with."""
    split = split_clips(cache, "stratified", train_on_validation=True)
    training = voices.subset(split.training)
    model = train_network(training, recipe, seed, "actors mixed")
    save_voice_branch(model, training, output / "fold-mixed.pt")
    recall = unweighted_recall(probabilities(model, voices.spectrograms[0, split.test]), cache.labels[split.test])
    print(json.dumps({"actors_mixed": round(recall, 4)}), flush=True)


def train_branch(voices: Voices, cache: Cache, recipe: Recipe, seed: int, output: Path, *, train_on_test: bool) -> None:
    """Train the branch that is served; the validation actors are left out, and the test actors unless asked for."""
    split = split_clips(cache, "subject", train_on_test=train_on_test)
    training = voices.subset(split.training)
    model = train_network(training, recipe, seed, "branch")
    save_voice_branch(model, training, output / "audio.pt")
    for part, index in split.parts().items():
        if len(index):
            recall = unweighted_recall(probabilities(model, voices.spectrograms[0, index]), cache.labels[index])
            print(json.dumps({"part": part, "unweighted_recall": round(recall, 4)}), flush=True)


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_voices CACHE --output runs/voices`."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain_voices", description=__doc__)
    parser.add_argument("cache", type=Path, help="folder written by training.prepare")
    parser.add_argument("--output", type=Path, default=Path("runs/voices"), help="folder of branches and voices.json")
    parser.add_argument("--part", choices=("branch", "folds", "mixed", "all"), default="all", help="what is trained")
    parser.add_argument(
        "--train_on_test", action="store_true", help="train audio.pt on the test actors too, to serve it"
    )
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--dropout", type=float, default=Recipe.dropout)
    parser.add_argument("--mixup", type=float, default=Recipe.mixup)
    parser.add_argument("--weight_decay", type=float, default=Recipe.weight_decay)
    parser.add_argument("--average", type=float, default=Recipe.average, help="decay of averaged weights; 0 for none")
    parser.add_argument("--unbalanced", action="store_true", help="let frequent classes count for more")
    parser.add_argument(
        "--recorded_epochs", type=int, default=Recipe.recorded_epochs, help="with voices recorded otherwise; 0 for none"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        epochs=options.epochs,
        weight_decay=options.weight_decay,
        mixup=options.mixup,
        dropout=options.dropout,
        average=options.average,
        balanced=not options.unbalanced,
        recorded_epochs=options.recorded_epochs,
    )
    cache = open_cache(options.cache)
    voices = load_voices(cache, recipe.recordings if recipe.recorded_epochs else 0, options.seed)
    if options.part in ("folds", "all"):
        cross_validate(voices, cache, recipe, options.seed, options.output)
    if options.part in ("mixed", "all"):
        train_mixed(voices, cache, recipe, options.seed, options.output)
    if options.part in ("branch", "all"):
        train_branch(voices, cache, recipe, options.seed, options.output, train_on_test=options.train_on_test)


def _by_fold(
    found: FloatArray, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], done: int
) -> dict[str, float | list[float]]:
    recalls = [unweighted_recall(found[folds == fold], labels[folds == fold]) for fold in range(done)]
    return {
        "unweighted_recall_mean": round(float(np.mean(recalls)), 4),
        "unweighted_recall_deviation": round(float(np.std(recalls)), 4),
        "unweighted_recall_by_fold": [round(recall, 4) for recall in recalls],
    }


if __name__ == "__main__":
    main()
