"""Training starts from the named weights, and never from a branch trained on a tested actor."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from avemotion.preprocessing.contract import LABELS
from avemotion.preprocessing.errors import ModelFileError
from training.checkpoint import save_branch
from training.network import EmotionNetwork, NetworkConfig, ResNet18
from training.start import LeakError, load_video_weights, share_neutral_with_calm, start_from


@pytest.fixture
def network() -> EmotionNetwork:
    torch.manual_seed(0)
    return EmotionNetwork(NetworkConfig("late"))


def torchvision_file(path: Path) -> ResNet18:
    """A file as torchvision writes it: the backbone's keys and a classifier of 1,000 classes."""
    torch.manual_seed(1)
    backbone = ResNet18()
    torch.save(backbone.state_dict() | {"fc.weight": torch.rand(1000, 512), "fc.bias": torch.rand(1000)}, path)
    return backbone


def test_a_file_of_torchvision_fills_the_whole_video_branch(network: EmotionNetwork, tmp_path: Path) -> None:
    expected = torchvision_file(tmp_path / "resnet18.pth").state_dict()
    load_video_weights(network, str(tmp_path / "resnet18.pth"))
    for name, value in network.video.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_file_that_lacks_a_layer_is_refused(network: EmotionNetwork, tmp_path: Path) -> None:
    weights = torchvision_file(tmp_path / "resnet18.pth").state_dict()
    del weights["layer3.1.conv2.weight"]
    torch.save(weights, tmp_path / "short.pth")
    with pytest.raises(ModelFileError, match=r"does not contain torchvision's ResNet18.*layer3\.1\.conv2\.weight"):
        load_video_weights(network, str(tmp_path / "short.pth"))


def test_a_missing_file_is_named(network: EmotionNetwork, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"absent\.pth does not exist"):
        load_video_weights(network, str(tmp_path / "absent.pth"))


def test_without_a_network_imagenet_says_what_to_fetch(
    network: EmotionNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_arguments: object, **_options: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    with pytest.raises(ModelFileError, match=r"could not be downloaded.*resnet18-f37072fd\.pth.*--video_weights"):
        load_video_weights(network, "imagenet")


def test_branches_are_put_together(network: EmotionNetwork, tmp_path: Path) -> None:
    torch.manual_seed(2)
    other = EmotionNetwork(NetworkConfig("late")).state_dict()
    for branch in ("video", "audio"):
        weights = {name: value for name, value in other.items() if name.startswith(branch)}
        save_branch(tmp_path / f"{branch}.pt", weights, {"training_actors": [1, 2]})
    loaded = start_from(network, [tmp_path / "video.pt", tmp_path / "audio.pt"], {3, 4})
    for name, value in network.state_dict().items():
        assert torch.equal(value, other[name]) or name not in loaded
    assert {"video.conv1.weight", "audio.linear.weight", "audio_classifier.bias"} < set(loaded)
    assert not any(name.startswith("fusion") for name in loaded)


def test_a_branch_that_heard_a_tested_actor_is_refused_by_number(network: EmotionNetwork, tmp_path: Path) -> None:
    save_branch(tmp_path / "audio.pt", {"audio_classifier.bias": torch.rand(8)}, {"training_actors": [1, 2, 9]})
    with pytest.raises(LeakError, match=r"actors that this run validates or tests on: 2, 9\."):
        start_from(network, [tmp_path / "audio.pt"], {2, 3, 9})


def test_calm_gets_half_of_what_was_neutral_and_other_classes_keep_theirs(network: EmotionNetwork) -> None:
    features = torch.rand(5, 512)
    known = [index for index, label in enumerate(LABELS) if label != "calm"]
    before = network.video_classifier(features)[:, known].softmax(dim=1)
    share_neutral_with_calm(network)
    after = network.video_classifier(features).softmax(dim=1)
    neutral, calm = LABELS.index("neutral"), LABELS.index("calm")
    torch.testing.assert_close(after[:, neutral], after[:, calm])
    merged = after.clone()
    merged[:, neutral] += merged[:, calm]
    torch.testing.assert_close(merged[:, known], before)
    share_neutral_with_calm(network)
    torch.testing.assert_close(network.video_classifier(features).softmax(dim=1), after)
