"""Train the audio branch alone on the voices of RAVDESS, and say how it does with people it has never heard.

The network that is kept is a student: it learns from the averaged answers of several networks to the same changed
and mixed spectrograms. Averaging is worth points of recall, and the student keeps some of them at a single
network's cost. Every reported number is of actors that neither student nor teachers were trained on.
"""

from __future__ import annotations

import argparse
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
from training.checkpoint import save_branch
from training.data.cache import Cache, open_cache
from training.data.spectrograms import SpectrogramChanges, change_spectrograms
from training.data.splits import FOLDS, actor_folds, split_clips
from training.metrics import unweighted_recall
from training.network import EmotionNetwork, NetworkConfig

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
        teachers: Networks that the student learns from; 0 trains it on labels.
        label_share: How much of the student's loss is the labels', the rest being the teachers'.
    """

    epochs: int = 35
    batch_size: int = 16
    learning_rate: float = 1e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    mixup: float = 0.4
    dropout: float = 0.0
    teachers: int = 3
    label_share: float = 0.3


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
        spectrograms: float32 [N, 64, 188].
        labels: int64 [N].
        actors: int64 [N].
    """

    spectrograms: Tensor
    labels: Tensor
    actors: npt.NDArray[np.int64]

    def subset(self, index: npt.NDArray[np.int64]) -> Voices:
        """Some of them."""
        return Voices(self.spectrograms[index], self.labels[index], self.actors[index])


def load_voices(cache: Cache) -> Voices:
    """Spectrograms of all clips of a cache."""
    spectrograms = np.stack([log_mel(cache.waveforms[row]) for row in cache.rows])
    return Voices(torch.from_numpy(spectrograms), torch.from_numpy(cache.labels), cache.actors)


def train_student(voices: Voices, recipe: Recipe, seed: int, name: str) -> tuple[VoiceModel, list[VoiceModel]]:
    """Train teachers, and a student that learns from them; without teachers, a network that learns from labels."""
    teachers = [
        train_network(voices, recipe, seed + 1 + number, [], f"{name}, teacher {number + 1}")
        for number in range(recipe.teachers)
    ]
    return train_network(voices, recipe, seed, teachers, f"{name}, student" if teachers else name), teachers


def train_network(voices: Voices, recipe: Recipe, seed: int, teachers: list[VoiceModel], name: str) -> VoiceModel:
    """Train one network for a fixed number of epochs, so that no held-out voice chooses when to stop."""
    torch.manual_seed(seed)
    random = np.random.default_rng(seed)
    model = VoiceModel(recipe.dropout)
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    steps = len(voices.labels) // recipe.batch_size
    optimizer = torch.optim.AdamW(model.parameters(), recipe.learning_rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, recipe.learning_rate, total_steps=steps * recipe.epochs, pct_start=0.1, cycle_momentum=False
    )
    model.train()
    for _ in tqdm(range(recipe.epochs), desc=name, unit="epoch", mininterval=10):
        order = torch.from_numpy(random.permutation(len(voices.labels)))
        for index in order[: steps * recipe.batch_size].view(steps, recipe.batch_size):
            spectrograms = change_spectrograms(voices.spectrograms[index], SpectrogramChanges())
            targets = functional.one_hot(voices.labels[index], len(LABELS)).float()
            if recipe.mixup:
                share = float(random.beta(recipe.mixup, recipe.mixup))
                partner = torch.from_numpy(random.permutation(recipe.batch_size))
                spectrograms = share * spectrograms + (1 - share) * spectrograms[partner]
                targets = share * targets + (1 - share) * targets[partner]
            # bfloat16 halves the time; without such units it is only slower.
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(spectrograms)
                answers = [teacher(spectrograms) for teacher in teachers]
            loss = _loss(logits.float(), targets, answers, recipe)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    model.eval().requires_grad_(False)
    return model


def probabilities(models: list[VoiceModel], spectrograms: Tensor) -> FloatArray:
    """Averaged class probabilities [N, 8] of several networks."""
    with torch.inference_mode():
        every = [torch.cat([model(part) for part in torch.split(spectrograms, 128)]).softmax(dim=1) for model in models]
        return np.asarray(torch.stack(every).mean(dim=0).numpy())


def save_voice_branch(model: VoiceModel, voices: Voices, path: Path) -> None:
    """Write a branch and whom it was trained on, so that nothing that starts from it is tested on them."""
    save_branch(path, model.weights(), {"training_actors": np.unique(voices.actors).tolist()})


def cross_validate(voices: Voices, folds: npt.NDArray[np.int64], recipe: Recipe, seed: int, output: Path) -> None:
    """Train on all folds but one, for each; write their networks, and `voices.json` after every fold."""
    student, average = (np.zeros((len(folds), len(LABELS)), np.float32) for _ in range(2))
    labels = voices.labels.numpy()
    done: list[int] = []
    for fold in range(FOLDS):
        tested = folds == fold
        model, teachers = train_student(
            voices.subset(np.flatnonzero(~tested)), recipe, seed + 100 * fold, f"fold {fold + 1} of {FOLDS}"
        )
        student[tested] = probabilities([model], voices.spectrograms[tested])
        average[tested] = probabilities(teachers or [model], voices.spectrograms[tested])
        save_voice_branch(model, voices.subset(np.flatnonzero(~tested)), output / f"fold{fold}.pt")
        done.append(fold)
        report = {
            "recipe": asdict(recipe),
            "seed": seed,
            "folds": len(done),
            "student": _by_fold(student, labels, folds, done),
            "average_of_teachers": _by_fold(average, labels, folds, done),
        }
        (output / "voices.json").write_text(json.dumps(report, indent=2) + "\n")
        np.savez(output / "out_of_fold.npz", probabilities=student, labels=labels, folds=folds)
        print(json.dumps({"fold": fold, **report["student"]}), flush=True)  # type: ignore[dict-item]


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_voices CACHE --output runs/voices`."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain_voices", description=__doc__)
    parser.add_argument("cache", type=Path, help="folder written by training.prepare")
    parser.add_argument("--output", type=Path, default=Path("runs/voices"), help="folder of audio.pt and voices.json")
    parser.add_argument("--part", choices=("branch", "folds", "both"), default="both", help="what is trained")
    parser.add_argument(
        "--train_on_test", action="store_true", help="train audio.pt on the test actors too, to serve it"
    )
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--teachers", type=int, default=Recipe.teachers, help="0 trains on labels alone")
    parser.add_argument("--dropout", type=float, default=Recipe.dropout)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, help="of torch (default: its own choice)")
    options = parser.parse_args(arguments)
    if options.threads:
        torch.set_num_threads(options.threads)
    options.output.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(epochs=options.epochs, teachers=options.teachers, dropout=options.dropout)
    cache = open_cache(options.cache)
    voices = load_voices(cache)
    if options.part != "folds":
        split = split_clips(cache, "subject", train_on_test=options.train_on_test)
        model, _ = train_student(voices.subset(split.training), recipe, options.seed, "branch")
        save_voice_branch(model, voices.subset(split.training), options.output / "audio.pt")
        for part, index in split.parts().items():
            if not len(index):
                continue
            recall = unweighted_recall(probabilities([model], voices.spectrograms[index]), cache.labels[index])
            print(json.dumps({"part": part, "unweighted_recall": round(recall, 4)}), flush=True)
    if options.part != "branch":
        cross_validate(voices, actor_folds(cache), recipe, options.seed, options.output)


def _loss(logits: Tensor, targets: Tensor, answers: list[Tensor], recipe: Recipe) -> Tensor:
    loss = functional.cross_entropy(logits, targets, label_smoothing=recipe.label_smoothing)
    if not answers:
        return loss
    answer = torch.stack([logits.float().softmax(dim=1) for logits in answers]).mean(dim=0)
    return recipe.label_share * loss + (1 - recipe.label_share) * functional.cross_entropy(logits, answer)


def _by_fold(
    found: FloatArray, labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], done: list[int]
) -> dict[str, float | list[float]]:
    recalls = [unweighted_recall(found[folds == fold], labels[folds == fold]) for fold in done]
    return {
        "unweighted_recall_mean": round(float(np.mean(recalls)), 4),
        "unweighted_recall_deviation": round(float(np.std(recalls)), 4),
        "unweighted_recall_by_fold": [round(recall, 4) for recall in recalls],
    }


if __name__ == "__main__":
    main()
