"""Train the audio branch alone on the voices of RAVDESS, and measure it on unseen actors.

The result is a running average of the weights. Classes are weighted equally, because RAVDESS has half as many neutral
voices as others. Every reported number is of actors that were not trained on, and the number of epochs is fixed, so
that no held-out voice chooses when to stop.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from training.checkpoint import save_branch
from training.data.cache import Cache, open_cache
from training.data.splits import FOLDS, Split, split_clips
from training.metrics import unweighted_recall
from training.network.audio import AUDIO_BRANCHES
from training.voices import Recipe, VoiceModel, Voices, load_voices, probabilities, train_network


@dataclass(frozen=True)
class Job:
    """One network to train.

    Attributes:
        kind: `fold`: without the actors of a fold. `mixed`: on the split that mixes actors, for the warning of
            `training.evaluate --kfold`. `branch`: for serving; without the validation actors, and without the test
            actors unless `train_on_test`.
        fold: The fold that is left out.
        train_on_test: Also train on the test actors.
    """

    kind: Literal["fold", "mixed", "branch"]
    fold: int = 0
    train_on_test: bool = False

    @property
    def file(self) -> str:
        """Name of the output file."""
        return {"fold": f"fold-{self.fold}.pt", "mixed": "fold-mixed.pt", "branch": "audio.pt"}[self.kind]

    def split(self, cache: Cache) -> Split:
        """The split of the cache for this job."""
        if self.kind == "fold":
            return split_clips(cache, "kfold", fold=self.fold, train_on_validation=True)
        if self.kind == "mixed":
            return split_clips(cache, "stratified", train_on_validation=True)
        return split_clips(cache, "subject", train_on_test=self.train_on_test)


@dataclass(frozen=True)
class Trained:
    """The result of a job.

    Attributes:
        job: The job.
        recalls: Unweighted recall of the unchanged voices, by part of the split that has any.
    """

    job: Job
    recalls: dict[str, float]


def main(arguments: list[str] | None = None) -> None:
    """Command line: `python -m training.pretrain_voices CACHE --output runs/voices`."""
    parser = argparse.ArgumentParser(prog="python -m training.pretrain_voices", description=__doc__)
    parser.add_argument("cache", type=Path, help="folder written by training.prepare")
    parser.add_argument("--output", type=Path, default=Path("runs/voices"), help="folder for branches and voices.json")
    parser.add_argument("--part", choices=("branch", "folds", "mixed", "all"), default="all", help="networks to train")
    parser.add_argument(
        "--train_on_test", action="store_true", help="also train audio.pt on the test actors, for serving"
    )
    parser.add_argument(
        "--audio_branch", choices=AUDIO_BRANCHES, default=Recipe.audio_branch, help="size of the branch"
    )
    parser.add_argument("--epochs", type=int, default=Recipe.epochs)
    parser.add_argument("--batch_size", type=int, default=Recipe.batch_size)
    parser.add_argument("--dropout", type=float, default=Recipe.dropout)
    parser.add_argument("--mixup", type=float, default=Recipe.mixup)
    parser.add_argument("--weight_decay", type=float, default=Recipe.weight_decay)
    parser.add_argument(
        "--recorded_epochs",
        type=int,
        default=Recipe.recorded_epochs,
        help="further epochs with changed recordings; 0 for none",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--jobs", type=int, default=1, help="networks trained in parallel; one alone does not occupy a GPU"
    )
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    recipe = Recipe(
        audio_branch=options.audio_branch,
        epochs=options.epochs,
        batch_size=options.batch_size,
        weight_decay=options.weight_decay,
        mixup=options.mixup,
        dropout=options.dropout,
        recorded_epochs=options.recorded_epochs,
    )
    jobs = []
    if options.part in ("folds", "all"):
        jobs += [Job("fold", fold) for fold in range(FOLDS)]
    if options.part in ("mixed", "all"):
        jobs += [Job("mixed")]
    if options.part in ("branch", "all"):
        jobs += [Job("branch", train_on_test=options.train_on_test)]
    train = partial(train_job, options.cache, recipe, options.seed, options.output)
    found: list[Trained] = []
    for trained in _results(train, jobs, options.jobs):
        print(json.dumps(asdict(trained.job) | trained.recalls), flush=True)
        found.append(trained)
        report = {"recipe": asdict(recipe), "seed": options.seed, **_summary(found)}
        (options.output / "voices.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report))


def train_job(folder: Path, recipe: Recipe, seed: int, output: Path, job: Job) -> Trained:
    """Train one network on the voices of a cache and write it into the output folder."""
    cache = open_cache(folder)
    split = job.split(cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    voices = load_voices(cache, device)
    training = voices.subset(split.training)
    model = train_network(training, recipe, seed + 100 * job.fold, f"{job.kind} {job.fold + 1}")
    save_voice_branch(model, training, output / job.file)
    recalls = {}
    for part, index in split.parts().items():
        if len(index):
            heard = voices.subset(index)
            recall = unweighted_recall(probabilities(model, heard.waveforms), heard.labels.cpu().numpy())
            recalls[part] = round(recall, 4)
    return Trained(job, recalls)


def save_voice_branch(model: VoiceModel, voices: Voices, path: Path) -> None:
    """Write a branch and its training actors, so that a run that starts from it cannot be tested on them."""
    save_branch(path, model.weights(), {"training_actors": np.unique(voices.actors).tolist()})


def _results(train: partial[Trained], jobs: list[Job], parallel: int) -> Iterable[Trained]:
    if parallel == 1:
        yield from map(train, jobs)
        return
    with ProcessPoolExecutor(parallel, mp_context=get_context("spawn")) as pool:
        yield from pool.map(train, jobs)


def _summary(found: list[Trained]) -> dict[str, object]:
    """Recalls of all networks, with mean and standard deviation over the folds."""
    folds = [trained.recalls["test"] for trained in found if trained.job.kind == "fold"]
    summary: dict[str, object] = {trained.job.file: trained.recalls for trained in found}
    if folds:
        summary["unweighted_recall_mean"] = round(float(np.mean(folds)), 4)
        summary["unweighted_recall_deviation"] = round(float(np.std(folds)), 4)
        summary["unweighted_recall_by_fold"] = folds
    return summary


if __name__ == "__main__":
    main()
