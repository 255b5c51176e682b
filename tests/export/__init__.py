"""Checkpoint to model repository."""
