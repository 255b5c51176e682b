"""Use of bfloat16: it halves the time on hardware that supports it, and takes twice as long or more if emulated."""

from __future__ import annotations

import torch


def half_precision(device: torch.device, *, wanted: bool = True) -> torch.autocast:
    """A context that computes products in bfloat16, on accelerators and on processors with instructions for it.

    Args:
        device: Device of the computation.
        wanted: False for a context without effect.
    """
    pays = device.type != "cpu" or torch.cpu.get_capabilities().get("avx512_bf16", False)
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and pays)
