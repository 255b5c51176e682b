"""Augmentation preserves the content of clips and changes all frames of a clip alike."""

from __future__ import annotations

import numpy as np
import torch

from avemotion.preprocessing.contract import FRAMES, LOG_MEL, MEL_BINS, MEL_FRAMES, PRESENT
from training.data.augmentation import Augmentation, drop_modalities, mix
from training.data.spectrograms import SpectrogramChanges, change_spectrograms


def spectrograms(count: int) -> torch.Tensor:
    return 2 * torch.rand(count, MEL_BINS, MEL_FRAMES) - 1


def test_all_frames_of_a_clip_are_changed_alike_and_clips_differently() -> None:
    torch.manual_seed(0)
    still = torch.randint(0, 256, (3, 1, *FRAMES.shape[1:]), dtype=torch.uint8).expand(-1, FRAMES.shape[0], -1, -1, -1)
    still = still[:1].expand(3, -1, -1, -1, -1)
    changed = Augmentation()({FRAMES.name: still, LOG_MEL.name: spectrograms(3)})[FRAMES.name]
    assert changed.shape == still.shape
    assert changed.min() >= 0
    assert 100 < changed.max() <= 255
    for clip in changed:
        torch.testing.assert_close(clip, clip[:1].expand_as(clip))
    assert not torch.allclose(changed[0], changed[1], atol=1)


def test_spectrograms_without_changes_stay_what_they_are() -> None:
    before = spectrograms(2)
    after = change_spectrograms(before, SpectrogramChanges(shift=0, stretch=0, mel_shift=0))
    torch.testing.assert_close(after, before, atol=1e-4, rtol=0)


def test_spectrograms_are_shifted_within_the_limit_and_filled_with_silence() -> None:
    torch.manual_seed(0)
    before = torch.full((200, MEL_BINS, MEL_FRAMES), -1.0)
    before[:, :, 90] = 1.0
    after = change_spectrograms(before, SpectrogramChanges(shift=10, stretch=0, mel_shift=0))
    peaks = after[:, 0].argmax(dim=1)
    assert 80 <= peaks.min() < 84
    assert 96 < peaks.max() <= 100
    assert (after[:, :, 0] == -1).all()
    assert (after >= -1 - 1e-6).all()


def test_masks_silence_no_more_than_they_may() -> None:
    torch.manual_seed(0)
    before = torch.ones(300, MEL_BINS, MEL_FRAMES)
    after = change_spectrograms(before, SpectrogramChanges(0, 0, 0, time_mask=20, mel_mask=6))
    hidden_frames = (after[:, :, :] < 0).all(dim=1).sum(dim=1)
    hidden_bins = (after < 0).all(dim=2).sum(dim=1)
    assert hidden_frames.max() == 20
    assert hidden_bins.max() == 6
    assert hidden_frames.min() == 0


def test_sound_loses_no_part_to_a_mask_where_none_is_asked_for() -> None:
    torch.manual_seed(0)
    sound = spectrograms(20).clamp(min=-0.9)
    frames = torch.zeros(20, 1, *FRAMES.shape[1:], dtype=torch.uint8)
    inner = (slice(None), slice(8, -8), slice(30, -30))
    for masks in (True, False):
        changed = Augmentation(masks=masks)({FRAMES.name: frames, LOG_MEL.name: sound})[LOG_MEL.name]
        assert bool((changed[inner] == -1).any()) is masks


def test_modality_dropout_never_takes_the_last_modality() -> None:
    torch.manual_seed(0)
    present = torch.tensor([[True, True]] * 4000 + [[True, False]] * 50 + [[False, True]] * 50)
    dropped = drop_modalities(present, 0.15)
    assert torch.equal(dropped[4000:], present[4000:])
    assert dropped.any(dim=1).all()
    lost = (~dropped[:4000]).float().mean(dim=0)
    assert np.allclose(lost.numpy(), 0.15, atol=0.03)


def test_mixup_mixes_targets_in_the_share_of_the_samples_and_only_alike_ones() -> None:
    torch.manual_seed(0)
    targets = torch.eye(8).repeat(4, 1)
    values = targets.argmax(dim=1).float()[:, None].expand(-1, 5)
    present = torch.tensor([[True, True], [True, False]]).repeat_interleave(16, dim=0)
    batch, mixed = mix({"values": values, PRESENT.name: present}, ("values",), targets, 0.4)
    expected = (mixed * torch.arange(8)).sum(dim=1)
    torch.testing.assert_close(batch["values"][:, 0], expected)
    assert not torch.equal(mixed, targets)
    torch.testing.assert_close(mixed.sum(dim=1), torch.ones(32))


def test_no_mixup_leaves_everything() -> None:
    targets = torch.eye(8)
    batch, mixed = mix({PRESENT.name: torch.ones(8, 2, dtype=torch.bool)}, (), targets, 0.0)
    assert torch.equal(mixed, targets)
    assert list(batch) == [PRESENT.name]
