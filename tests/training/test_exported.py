"""A branch read from an exported model computes the same function and can be trained."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from avemotion.preprocessing.contract import FRAMES, INPUTS, PRESENT
from avemotion.preprocessing.errors import ModelFileError
from export.onnx_model import export_onnx
from export.parity import random_inputs
from export.quantization import quantize
from training.checkpoint import Checkpoint
from training.exported import load_exported, read_exported
from training.network import EmotionNetwork, NetworkConfig, Temperatures
from training.network.fusion import FusionName
from training.start import LeakError, start_from


@dataclass(frozen=True)
class Files:
    """A checkpoint, and the files that it was exported to."""

    checkpoint: Checkpoint
    network: EmotionNetwork
    fp32: Path
    int8: Path


def draw_network(fusion: FusionName) -> EmotionNetwork:
    """An untrained network, none of whose batch normalisations is the identity."""
    torch.manual_seed(0)
    network = EmotionNetwork(NetworkConfig(fusion)).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None and module.running_var is not None:
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    for classifier in (network.face_evidence.classifier, network.voice_evidence.classifier):
        for parameter in classifier.parameters():
            nn.init.normal_(parameter, 0, 0.1)
    return network


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """A network exported both ways, with a fusion whose weights outlive the export."""
    folder = tmp_path_factory.mktemp("exported")
    network = draw_network("concat")
    nn.init.normal_(network.missing_audio)
    described = {"training_actors": [2, 3]}
    checkpoint = Checkpoint(
        network.config, network.state_dict(), "none", Temperatures(1.5, 2.0, 0.5), training=described
    )
    export_onnx(checkpoint, folder / "fp32.onnx", git_commit="abc")
    quantize(folder / "fp32.onnx", folder / "int8.onnx", [random_inputs(2, (True, True), seed=0)])
    return Files(checkpoint, network, folder / "fp32.onnx", folder / "int8.onnx")


def clips(count: int, seed: int = 1) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(value) for name, value in random_inputs(count, (True, True), seed).items()}


def read_back(path: Path) -> EmotionNetwork:
    torch.manual_seed(7)
    network = EmotionNetwork(NetworkConfig("late"))
    load_exported(network.video, path, name="video", run=lambda: network.encode_video(clips(2)[FRAMES.name]))
    load_exported(network.video_classifier, path, name="video_classifier", run=lambda: None)
    return network


@pytest.fixture(scope="module")
def back(files: Files) -> EmotionNetwork:
    """What was read back from FP32; tests leave it as it is."""
    return read_back(files.fp32)


@torch.inference_mode()
def video_logits(network: EmotionNetwork) -> torch.Tensor:
    logits: torch.Tensor = network.video_classifier(network.encode_video(clips(2)[FRAMES.name]).mean(dim=1))
    return logits


def test_the_video_branch_that_comes_back_is_the_one_exported_but_for_rounding(
    files: Files, back: EmotionNetwork
) -> None:
    expected = video_logits(files.network)
    for network, rounding in ((back, 1e-3), (read_back(files.int8), 0.05)):
        assert (video_logits(network) - expected).norm() < rounding * expected.norm()


@torch.no_grad()
def test_batch_normalisations_fit_what_they_see_so_that_training_goes_on_where_it_stopped(back: EmotionNetwork) -> None:
    network = copy.deepcopy(back)
    frames = clips(2)[FRAMES.name]
    asleep = network.encode_video(frames)
    network.video.train()
    awake = network.encode_video(frames)
    torch.testing.assert_close(awake, asleep, rtol=0.02, atol=0.02)
    for module in network.video.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_var.min() > 1e-4


def test_the_branch_that_was_not_asked_for_stays(back: EmotionNetwork) -> None:
    torch.manual_seed(7)
    untouched = EmotionNetwork(NetworkConfig("late")).state_dict()
    for name, value in back.state_dict().items():
        stays = name.startswith(("audio", "fusion", "missing", "face_evidence", "voice_evidence"))
        assert torch.equal(value, untouched[name]) == stays or "num_" in name


def test_training_starts_from_both_branches_of_an_exported_model(files: Files) -> None:
    torch.manual_seed(7)
    network = EmotionNetwork(NetworkConfig("late"))
    drawn = clips(2)
    names = start_from(network, [files.int8], set(), drawn)
    assert {name.split(".")[0] for name in names} == {"video", "audio", "video_classifier", "audio_classifier"}
    network.eval()
    with torch.inference_mode():
        found, expected = (each(*(drawn[spec.name] for spec in INPUTS)) for each in (network, files.network))
    assert (found.audio_logits - expected.audio_logits).norm() < 1e-3 * expected.audio_logits.norm()
    assert (found.video_logits - expected.video_logits).norm() < 0.05 * expected.video_logits.norm()


def test_an_exported_model_that_heard_a_tested_actor_is_refused(files: Files) -> None:
    with pytest.raises(LeakError, match=r"trained on actors that this run validates or tests on: 3\."):
        start_from(EmotionNetwork(NetworkConfig("late")), [files.fp32], {3}, clips(1))


@pytest.mark.parametrize("content", [None, b"", b"no model at all"])
def test_what_is_no_onnx_file_is_refused(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(
        ModelFileError, match=r"model\.onnx (is not a readable ONNX file|lacks the weight video\.conv1\.weight)"
    ):
        read_back(path)


def test_a_file_cut_off_in_the_middle_is_refused(files: Files, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(files.fp32.read_bytes()[:100_000])
    with pytest.raises(ModelFileError, match=r"model\.onnx"):
        read_back(path)


def test_a_model_of_another_kind_is_refused_by_what_it_lacks(files: Files, tmp_path: Path) -> None:
    model = onnx.load(files.fp32)
    kept = [each for each in model.graph.initializer if each.name != "network.video.layer2.0.conv1.weight"]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelFileError, match=r"foreign\.onnx lacks the weight video\.layer2\.0\.conv1\.weight"):
        read_back(tmp_path / "foreign.onnx")


def test_a_weight_of_another_shape_is_refused_naming_both(files: Files, tmp_path: Path) -> None:
    model = onnx.load(files.fp32)
    for each in model.graph.initializer:
        if each.name == "network.video.layer2.0.conv1.weight":
            each.CopyFrom(numpy_helper.from_array(np.zeros((64, 64, 3, 3), np.float32), each.name))
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelFileError, match=r"of shape \[64, 64, 3, 3\]; expected \[128, 64, 3, 3\]"):
        read_back(tmp_path / "foreign.onnx")


@torch.inference_mode()
def test_a_whole_model_that_comes_back_answers_as_the_checkpoint_did(files: Files) -> None:
    checkpoint = files.checkpoint
    back = read_exported(files.fp32, clips(2))
    assert (back.config, back.crop, back.temperatures) == (checkpoint.config, "none", checkpoint.temperatures)
    assert back.training == checkpoint.training
    drawn = clips(3, seed=2) | {PRESENT.name: torch.tensor([[True, True], [True, False], [False, True]])}
    inputs = [drawn[spec.name] for spec in INPUTS]
    for found, expected in zip(back.serving_network()(*inputs), checkpoint.serving_network()(*inputs), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.slow
def test_a_fusion_that_exporting_dissolves_is_refused_by_what_is_gone(tmp_path: Path) -> None:
    network = draw_network("xattn")
    export_onnx(Checkpoint(network.config, network.state_dict()), tmp_path / "fp32.onnx", git_commit="abc")
    with pytest.raises(ModelFileError, match=r"fp32\.onnx lacks the weight fusion\."):
        read_exported(tmp_path / "fp32.onnx", clips(2))


def test_a_model_that_does_not_describe_itself_is_refused(files: Files, tmp_path: Path) -> None:
    model = onnx.load(files.fp32)
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ModelFileError, match=r"foreign\.onnx lacks the metadata crop, fusion, temperatures, training"):
        read_exported(tmp_path / "foreign.onnx", {})
