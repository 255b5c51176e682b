"""The training command works as documented, resumes exactly, and writes a complete checkpoint."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from avemotion.preprocessing.contract import FRAME_COUNT, LABELS, LOG_MEL, PRESENT
from avemotion.preprocessing.log_mel import log_mel
from tests.support.caches import synthetic_cache, tone
from training import order
from training import train as training
from training.checkpoint import load_checkpoint, save_branch
from training.data.samples import LABEL
from training.data.splits import FOLDS
from training.features import AUDIO_FEATURES, AUDIO_MAP, FRAME_FEATURES, forward
from training.module import EmotionModule, Optimization, rate_factor
from training.network import EmotionNetwork, NetworkConfig
from training.network.fusion import FUSIONS, HEADS, TOKENS, FusionName, HeadName, TokensName
from training.network.resnet import VIDEO_FEATURES
from training.order import EpochOrder

REQUIREMENTS_COMMAND = (
    "--fusion xattn --xattn_head concat --epochs 100 --batch_size 8 --weight_decay 1e-4 "
    "--early_stopping_patience 10 --split_mode stratified --scheduler cosine --wandb"
)

VARIANTS = [
    (fusion, head, tokens)
    for fusion in FUSIONS
    for head in (HEADS if fusion == "xattn" else HEADS[:1])
    for tokens in (TOKENS if fusion == "xattn" else TOKENS[:1])
]

# Lightning advises on worker counts, which tiny data does not need, and calls what torch is about to rename.
pytestmark = pytest.mark.filterwarnings(
    "ignore::pytorch_lightning.utilities.warnings.PossibleUserWarning",
    "ignore:Checkpoint directory .* exists and is not empty",
    "ignore:.*LeafSpec.* is deprecated:FutureWarning",
)


def batch_of_every_label() -> dict[str, torch.Tensor]:
    random = np.random.default_rng(0)
    labels = torch.arange(len(LABELS)).repeat(2)
    return {
        FRAME_FEATURES: torch.randn(len(labels), FRAME_COUNT, VIDEO_FEATURES).abs(),
        AUDIO_FEATURES: torch.randn(len(labels), 128).abs(),
        AUDIO_MAP: torch.randn(len(labels), 23, 128).abs(),
        LOG_MEL.name: torch.from_numpy(np.stack([log_mel(tone(int(label), random)) for label in labels])),
        PRESENT.name: torch.tensor([[True, True], [False, True]]).repeat_interleave(8, dim=0),
        LABEL: labels,
    }


@pytest.mark.parametrize(("fusion", "head", "tokens"), VARIANTS)
def test_every_fusion_and_head_learns_one_batch_by_heart(
    fusion: FusionName, head: HeadName, tokens: TokensName, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    network = EmotionNetwork(NetworkConfig(fusion, head, dropout=0.0, xattn_tokens=tokens))
    module = EmotionModule(network, Optimization(label_smoothing=0.0), augment=False)
    monkeypatch.setattr(module, "log", lambda *_args, **_kwargs: None)
    batch = batch_of_every_label()
    optimizer = torch.optim.AdamW(network.parameters(), lr=3e-3)

    def learns_in(steps: int) -> bool:
        network.train()
        for _ in range(steps):
            optimizer.zero_grad()
            module.training_step(batch).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        network.eval()
        return torch.equal(forward(network, batch).logits.argmax(dim=1), batch[LABEL])

    assert any(learns_in(steps=10) for _ in range(8))


def test_the_learning_rate_rises_then_falls_to_zero_along_half_a_cosine() -> None:
    rates = [rate_factor(step, 200, Optimization(warm_up=0.1)) for step in range(201)]
    assert rates[0] == pytest.approx(0.05)
    assert max(rates) == rates[20] == 1.0
    assert rates[110] == pytest.approx(0.5)
    assert rates[200] == pytest.approx(0.0)
    assert [rate_factor(step, 200, Optimization(scheduler="none")) for step in (50, 150, 200)] == [1.0] * 3


def command(folder: Path, output: Path, *more: str) -> list[str]:
    return ["--data", str(folder), "--output", str(output), "--run", str(output.parent / f"run-{output.stem}"), *more]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_the_command_of_the_requirements_runs_as_written_offline(small_paired_folder: Path, tmp_path: Path) -> None:
    output = tmp_path / "checkpoints" / "best.pt"
    result = subprocess.run(
        # The last value of an option counts: one epoch shows what a hundred would.
        [
            sys.executable,
            "-m",
            "training.train",
            *shlex.split(REQUIREMENTS_COMMAND),
            *command(small_paired_folder, output),
            "--epochs",
            "1",
        ],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
        env={name: value for name, value in os.environ.items() if name not in {"WANDB_API_KEY", "OMP_NUM_THREADS"}}
        | {"HOME": str(tmp_path)},
    )
    assert result.returncode == 0, result.stderr
    checkpoint = load_checkpoint(output)
    assert checkpoint.config == NetworkConfig("xattn", "concat")
    assert checkpoint.training["options"]["weight_decay"] == 1e-4
    assert checkpoint.metrics.keys() == {"validation", "test"}
    assert {"both", "video only", "audio only"} < checkpoint.metrics["test"].keys()
    assert list(tmp_path.rglob("offline-run-*")), "nothing was logged to Weights & Biases"
    assert list(tmp_path.rglob("metrics.csv"))


def last_weights(output: Path) -> dict[str, torch.Tensor]:
    """Weights after the last epoch, whichever epoch was the best."""
    state = torch.load(output.parent / f"run-{output.stem}" / "states" / "last.ckpt", weights_only=False)
    return dict(state["state_dict"])


@pytest.fixture
def coarse_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Data of which the video branch sees every third pixel of a row and a column, for a ninth of the time."""
    encode = EmotionNetwork.encode_video
    monkeypatch.setattr(EmotionNetwork, "encode_video", lambda network, frames: encode(network, frames[:, :, ::3, ::3]))
    return synthetic_cache(tmp_path / "coarse", actors=range(1, FOLDS + 1)).folder


def test_a_resumed_run_ends_with_the_weights_of_an_uninterrupted_one(
    coarse_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = ["--fusion", "gated", "--freeze_branches", "--views", "1", "--epochs", "2"]
    whole, halved = tmp_path / "whole.pt", tmp_path / "halved.pt"
    assert training.main(command(coarse_folder, whole, *options)) == 0

    start_epoch = EmotionModule.on_train_epoch_start

    def interrupt(module: EmotionModule) -> None:
        if module.current_epoch == 1:
            raise RuntimeError("the power is cut")
        start_epoch(module)

    with monkeypatch.context() as patch:
        patch.setattr(EmotionModule, "on_train_epoch_start", interrupt)
        with pytest.raises(RuntimeError, match="the power is cut"):
            training.main(command(coarse_folder, halved, *options))
    assert not halved.exists()
    interrupted = last_weights(halved)
    assert training.main(command(coarse_folder, halved, *options, "--resume")) == 0

    expected, found = last_weights(whole), last_weights(halved)
    for name, weight in expected.items():
        assert torch.equal(found[name], weight), name
    name = "network.fusion.video.weight"
    assert not torch.equal(interrupted[name], expected[name])
    assert load_checkpoint(halved).metrics == load_checkpoint(whole).metrics


@pytest.mark.slow
def test_with_no_patience_validation_chooses_nothing_and_the_last_epoch_stays(
    coarse_folder: Path, tmp_path: Path
) -> None:
    options = shlex.split("--freeze_branches --fusion late --views 1 --epochs 2 --early_stopping_patience 0")
    output = tmp_path / "best.pt"
    assert training.main(command(coarse_folder, output, *options, "--precision", "bf16-mixed")) == 0
    expected = last_weights(output)
    for name, weight in load_checkpoint(output).weights.items():
        assert torch.equal(weight, expected[f"network.{name}"]), name
    assert not (tmp_path / "run-best" / "states" / "best.ckpt").exists()


def test_devices_share_an_epoch_without_repeating_a_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    shares = []
    for rank in range(3):
        monkeypatch.setattr(order, "_place", lambda rank=rank: (rank, 3))
        share = EpochOrder(20, seed=0)
        share.set_epoch(2)
        assert len(share) == 6
        shares.append(list(share))
    together = [number for share in shares for number in share]
    assert len(set(together)) == len(together) == 18
    assert all(40 <= number < 60 for number in together)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_two_processes_train_one_network_and_one_of_them_speaks_and_writes(
    small_paired_folder: Path, tmp_path: Path
) -> None:
    output = tmp_path / "best.pt"
    options = shlex.split("--fusion late --freeze_branches --views 1 --epochs 1 --batch_size 4")
    result = subprocess.run(
        [sys.executable, "-m", "training.train", *command(small_paired_folder, output, *options, "--devices", "2")],
        capture_output=True,
        text=True,
        timeout=800,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert result.returncode == 0, result.stderr
    assert "GLOBAL_RANK: 1, MEMBER: 2/2" in result.stderr
    assert result.stdout.count(f"wrote {output}") == 1
    assert result.stdout.count("validation: ") == 1
    # 32 training clips, half for each process, in batches of four.
    assert torch.load(tmp_path / "run-best" / "states" / "last.ckpt", weights_only=False)["global_step"] == 4
    assert [path.name for path in (tmp_path / "run-best" / "metrics").iterdir()] == ["version_0"]
    assert load_checkpoint(output).metrics["test"]["clips"] == 8


def test_a_branch_trained_on_tested_actors_is_refused(
    small_paired_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    branch = tmp_path / "audio.pt"
    weights = {name: value for name, value in EmotionNetwork(NetworkConfig()).state_dict().items() if "audio." in name}
    save_branch(
        branch,
        {name: value for name, value in weights.items() if name.startswith("audio.")},
        {"training_actors": [1, 2, 3, 4, 5, 6]},
    )
    output = tmp_path / "best.pt"
    assert training.main(command(small_paired_folder, output, "--init_from", str(branch))) == 1
    assert "was trained on actors that this run validates or tests on" in capsys.readouterr().err
    assert not output.exists()


def test_a_data_folder_that_is_missing_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert training.main(["--data", str(tmp_path / "nowhere")]) == 1
    assert "nowhere does not exist; set --data to the folder with Actor_01 to Actor_24" in capsys.readouterr().err
