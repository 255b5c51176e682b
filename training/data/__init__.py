"""Data sets, their splits, and the cache of decoded clips."""

from training.data.batches import calibration_batches, heldout_batches

__all__ = ["calibration_batches", "heldout_batches"]
