"""The network has the specified sizes, and ignores a missing modality."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from avemotion.preprocessing.contract import FRAME_COUNT, FRAME_SIZE, LABELS, LOG_MEL, PRESENT
from training.network import (
    AudioBranch,
    EmotionNetwork,
    NetworkConfig,
    ResNet18,
    ServingNetwork,
    Temperatures,
    choose_prediction,
)
from training.network.audio import AUDIO_BRANCHES, AudioBranchName, FixedAveragePool
from training.network.fusion import FUSIONS, HEADS, TOKENS, CrossAttentionFusion, FusionName, HeadName, TokensName

VARIANTS: list[tuple[FusionName, HeadName, TokensName]] = [
    *((fusion, "concat", "branch") for fusion in FUSIONS if fusion != "xattn"),
    *(("xattn", head, tokens) for head in HEADS for tokens in TOKENS),
]
SMALL = 32
"""Side of most frames, in pixels: the video branch takes any from here on, and a twelfth of the time."""

every_variant = pytest.mark.parametrize(("fusion", "head", "tokens"), VARIANTS)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def random_clips(
    batch: int, present: tuple[bool, bool] = (True, True), seed: int = 0, side: int = SMALL
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randint(0, 256, (batch, FRAME_COUNT, side, side, 3), generator=generator, dtype=torch.uint8),
        torch.rand(batch, *LOG_MEL.shape, generator=generator) * 2 - 1,
        torch.tensor([present]).expand(batch, *PRESENT.shape),
    )


def make(fusion: FusionName, head: HeadName = "concat", tokens: TokensName = "branch") -> EmotionNetwork:
    """A network as after some training: what begins at zero is random."""
    torch.manual_seed(0)
    network = EmotionNetwork(NetworkConfig(fusion=fusion, xattn_head=head, xattn_tokens=tokens, dropout=0.0))
    nn.init.normal_(network.missing_video)
    nn.init.normal_(network.missing_audio)
    for parameter in network.fusion.parameters():
        if not parameter.any():
            nn.init.normal_(parameter, std=0.1)
    return network


def test_branches_have_exactly_the_parameters_that_they_say() -> None:
    assert parameters(AudioBranch("deep")) == 713_504
    assert parameters(AudioBranch("compact")) == 154_720
    assert parameters(ResNet18()) == 11_176_512


@pytest.mark.parametrize(("head", "expected"), [("concat", 307_336), ("gated", 273_416)])
def test_cross_attention_has_the_parameters_that_were_asked_for(head: HeadName, expected: int) -> None:
    fusion = CrossAttentionFusion(head, "mel", 128, dropout=0.0)
    assert parameters(fusion) - parameters(fusion.sum) - fusion.missing_audio.numel() == expected


@pytest.mark.parametrize("tokens", TOKENS)
@pytest.mark.parametrize("head", HEADS)
@pytest.mark.parametrize("audio_branch", AUDIO_BRANCHES)
def test_cross_attention_starts_as_the_sum_of_logits(
    head: HeadName, tokens: TokensName, audio_branch: AudioBranchName
) -> None:
    network = EmotionNetwork(NetworkConfig("xattn", head, audio_branch=audio_branch, xattn_tokens=tokens)).eval()
    with torch.inference_mode():
        output = network(*random_clips(2))
    torch.testing.assert_close(output.logits, (output.video_logits + output.audio_logits) / 2)


def test_video_branch_carries_torchvisions_parameter_names() -> None:
    names = set(ResNet18().state_dict())
    assert {"conv1.weight", "bn1.running_mean", "layer2.0.downsample.0.weight", "layer4.1.bn2.bias"} <= names
    assert len(names) == 120


def test_fixed_average_pool_equals_torchs_adaptive_one() -> None:
    x = torch.randn(2, 3, 16, 47)
    torch.testing.assert_close(FixedAveragePool((16, 47), (4, 5))(x), functional.adaptive_avg_pool2d(x, (4, 5)))


@every_variant
@pytest.mark.parametrize("missing", ["video", "audio"])
def test_what_a_missing_modality_holds_changes_nothing(
    fusion: FusionName, head: HeadName, tokens: TokensName, missing: str
) -> None:
    network = ServingNetwork(make(fusion, head, tokens), Temperatures()).eval()
    present = (missing != "video", missing != "audio")
    frames, log_mel, flags = random_clips(2, present)
    other_frames, other_mel, _ = random_clips(2, present, seed=1)
    with torch.inference_mode():
        first = network(frames, log_mel, flags)
        other = network(other_frames, log_mel, flags) if missing == "video" else network(frames, other_mel, flags)
        both = network(frames, log_mel, torch.ones_like(flags))
    for a, b in zip(first, other, strict=True):
        torch.testing.assert_close(a, b)
    assert not torch.allclose(first[1], both[1], atol=1e-4)


@every_variant
def test_every_parameter_learns(fusion: FusionName, head: HeadName, tokens: TokensName) -> None:
    network = make(fusion, head, tokens).train()
    frames, log_mel, _ = random_clips(6)
    present = torch.tensor([[True, True], [False, True], [True, False]]).repeat(2, 1)
    output = network(frames, log_mel, present)
    loss = output.logits.square().sum() + output.video_logits.square().sum() + output.audio_logits.square().sum()
    torch.autograd.backward(loss)
    without = [name for name, p in network.named_parameters() if p.grad is None or not p.grad.any()]
    without = [name for name in without if "evidence" not in name]  # trained apart, by training.evidence
    assert [name for name in without if not name.endswith("attention.in_proj_bias")] == []


def test_absent_clips_stay_out_of_batch_statistics() -> None:
    network = make("gated", "concat").train()
    before = network.video.bn1.state_dict()["running_mean"].clone()
    network(*random_clips(2, (False, True)))
    torch.testing.assert_close(network.video.bn1.state_dict()["running_mean"], before)


@every_variant
def test_attention_over_frames_sums_to_one_and_is_uniform_without_attention(
    fusion: FusionName, head: HeadName, tokens: TokensName
) -> None:
    with torch.inference_mode():
        attention = make(fusion, head, tokens).eval()(*random_clips(3)).frame_attention
    torch.testing.assert_close(attention.sum(dim=1), torch.ones(3))
    uniform = torch.full_like(attention, 1 / FRAME_COUNT)
    assert torch.allclose(attention, uniform, atol=1e-5) == (fusion != "xattn")


def test_temperature_divides_the_logits_of_the_probabilities_only() -> None:
    network = make("late", "concat").eval()
    clips = random_clips(2, side=FRAME_SIZE)
    with torch.inference_mode():
        probabilities, logits, video, *_ = ServingNetwork(network, Temperatures(2.0, 0.5, 1.0))(*clips)
        plain = network(*clips)
    torch.testing.assert_close(probabilities, torch.softmax(plain.logits / 2, dim=1))
    torch.testing.assert_close(video, torch.softmax(plain.video_logits / 0.5, dim=1))
    torch.testing.assert_close(logits, plain.logits)
    assert probabilities.shape == (2, len(LABELS))


@pytest.mark.parametrize(("present", "place", "temperature"), [((True, False), 2, 3.0), ((False, True), 3, 4.0)])
def test_one_modality_alone_is_answered_by_its_own_branch(
    present: tuple[bool, bool], place: int, temperature: float
) -> None:
    network = make("concat", "concat").eval()
    clips = random_clips(3, present)
    with torch.inference_mode():
        outputs = ServingNetwork(network, Temperatures(2.0, 3.0, 4.0))(*clips)
        plain = network(*clips)
    own = (plain.video_logits, plain.audio_logits)[place - 2]
    assert torch.equal(outputs[0], outputs[place])
    assert torch.equal(outputs[1], own)
    torch.testing.assert_close(outputs[0], torch.softmax(own / temperature, dim=1))
    assert not torch.allclose(own, plain.logits, atol=1e-4)


def test_each_clip_of_a_batch_is_answered_by_what_it_has() -> None:
    fused, video, audio = (torch.full((4, len(LABELS)), value) for value in (1.0, 2.0, 3.0))
    present = torch.tensor([[True, True], [True, False], [False, True], [False, False]])
    assert choose_prediction(fused, video, audio, present, neither=4.0)[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]


def evidence_of(network: EmotionNetwork, face: float, voice: float) -> EmotionNetwork:
    """The network with the same evidence whatever it sees and hears, as logits."""
    for classifier, logit in ((network.face_evidence.classifier, face), (network.voice_evidence.classifier, voice)):
        for name, parameter in classifier.named_parameters():
            nn.init.constant_(parameter, logit if name == "bias" else 0.0)
    return network


@pytest.mark.parametrize(("face", "voice", "place"), [(2.0, -0.1, 2), (-0.1, 2.0, 3)])
def test_a_modality_without_evidence_is_left_out_inside_the_graph(face: float, voice: float, place: int) -> None:
    network = evidence_of(make("late", "concat").eval(), face, voice)
    clips = random_clips(3)
    with torch.inference_mode():
        outputs = ServingNetwork(network, Temperatures())(*clips)
    assert torch.equal(outputs[0], outputs[place])
    torch.testing.assert_close(outputs[5], torch.tensor([[face, voice]] * 3).sigmoid())


def test_without_any_evidence_every_label_is_as_likely() -> None:
    network = evidence_of(make("late", "concat").eval(), -0.1, -3.0)
    with torch.inference_mode():
        outputs = ServingNetwork(network, Temperatures())(*random_clips(2))
    assert torch.equal(outputs[0], torch.full((2, len(LABELS)), 1 / len(LABELS)))
    assert not outputs[1].any()


def test_there_is_no_evidence_for_what_is_not_present_and_untrained_heads_accept_the_rest() -> None:
    network = make("late", "concat").eval()
    with torch.inference_mode():
        evidence = ServingNetwork(network, Temperatures())(*random_clips(2, (True, False)))[5]
    assert (evidence[:, 0] > 0.99).all()
    assert not evidence[:, 1].any()
