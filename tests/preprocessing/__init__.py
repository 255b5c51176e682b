"""Clip to tensors."""
