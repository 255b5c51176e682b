"""Checkpoints are read as they were written; other files are rejected with a message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from avemotion.preprocessing import contract
from avemotion.preprocessing.errors import ContractMismatchError, ModelFileError
from training.checkpoint import Checkpoint, load_checkpoint, load_weights, save_branch, save_checkpoint
from training.network import EmotionNetwork, NetworkConfig, Temperatures


@pytest.fixture
def checkpoint() -> Checkpoint:
    config = NetworkConfig(fusion="gated", dropout=0.1)
    return Checkpoint(
        config=config,
        weights=EmotionNetwork(config).state_dict(),
        crop="none",
        temperatures=Temperatures(1.7, 1.1, 0.9),
        metrics={"recall": 0.5},
        training={"seed": 3},
    )


def test_a_checkpoint_comes_back_as_it_was_written(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "new folder" / "best.pt"
    save_checkpoint(path, checkpoint)
    found = load_checkpoint(path)
    assert (found.config, found.crop, found.temperatures) == (checkpoint.config, "none", checkpoint.temperatures)
    assert (found.metrics, found.training) == ({"recall": 0.5}, {"seed": 3})
    for name, value in found.network().state_dict().items():
        torch.testing.assert_close(value, checkpoint.weights[name])
    assert [file.name for file in path.parent.iterdir()] == ["best.pt"]


@pytest.mark.parametrize("content", [b"", b"no checkpoint at all", b"PK\x03\x04 cut off zip"])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "best.pt"
    path.write_bytes(content)
    with pytest.raises(ModelFileError, match=r"best\.pt is damaged or not a checkpoint"):
        load_checkpoint(path)


def test_a_checkpoint_cut_off_in_the_middle_is_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, checkpoint)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(ModelFileError, match="damaged"):
        load_checkpoint(path)


def test_a_missing_file_is_refused_naming_what_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"does not exist; expected a checkpoint of `python -m training.train`"):
        load_checkpoint(tmp_path / "best.pt")


def test_a_file_with_code_in_it_is_refused_and_not_run(tmp_path: Path) -> None:
    path = tmp_path / "best.pt"
    witness = tmp_path / "witness"

    class Touch:
        def __reduce__(self) -> tuple[Any, ...]:
            return Path.touch, (witness,)

    torch.save({"format": Touch()}, path)
    with pytest.raises(ModelFileError, match="damaged or not a checkpoint"):
        load_checkpoint(path)
    assert not witness.exists()


def change(path: Path, **changes: Any) -> None:
    data = torch.load(path, weights_only=True)
    data.update(changes)
    torch.save({key: value for key, value in data.items() if value is not None}, path)


def test_a_checkpoint_of_another_contract_is_refused_naming_the_difference(
    tmp_path: Path, checkpoint: Checkpoint
) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, checkpoint)
    change(path, contract=contract.parameters() | {"mel_bins": 80})
    with pytest.raises(ContractMismatchError, match="mel_bins is 80, this code has 64"):
        load_checkpoint(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "another program's"}, "is not a checkpoint of"),
        ({"weights": None}, "lacks the entries weights"),
        ({"crop": "fisheye"}, "has the crop mode 'fisheye'; expected face or none"),
        ({"config": {"fusion": "late", "layers": 3}}, "describes another network"),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(
    tmp_path: Path, checkpoint: Checkpoint, changes: dict[str, Any], message: str
) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, checkpoint)
    change(path, **changes)
    with pytest.raises(ModelFileError, match=message):
        load_checkpoint(path)


def test_weights_of_another_configuration_are_refused(tmp_path: Path, checkpoint: Checkpoint) -> None:
    path = tmp_path / "best.pt"
    save_checkpoint(path, checkpoint)
    change(path, config={"fusion": "late"})
    with pytest.raises(ModelFileError, match="do not fit its configuration"):
        load_checkpoint(path).network()


def test_a_branchs_weights_are_copied_and_the_rest_stays(tmp_path: Path) -> None:
    source, target = EmotionNetwork(NetworkConfig("late")), EmotionNetwork(NetworkConfig("gated"))
    audio_before = target.audio.linear.weight.clone()
    video = {name: value for name, value in source.state_dict().items() if name.startswith("video")}
    save_branch(tmp_path / "video.pt", video, {})
    assert load_weights(tmp_path / "video.pt", target) == sorted(video)
    torch.testing.assert_close(target.video.conv1.weight, source.video.conv1.weight)
    torch.testing.assert_close(target.audio.linear.weight, audio_before)


def test_weights_without_a_place_are_refused_by_name(tmp_path: Path) -> None:
    save_branch(tmp_path / "video.pt", {"video.conv9.weight": torch.rand(3)}, {})
    with pytest.raises(ModelFileError, match=r"video\.conv9\.weight of shape \[3\], which does not fit"):
        load_weights(tmp_path / "video.pt", EmotionNetwork(NetworkConfig()))
