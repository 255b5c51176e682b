"""Where bfloat16 pays: it halves the time on units made for it, and takes five times as long where it is imitated."""

from __future__ import annotations

import torch


def half_precision(device: torch.device) -> torch.autocast:
    """A context in which products are computed in bfloat16, on accelerators and on processors with AVX-512."""
    pays = device.type != "cpu" or torch.backends.cpu.get_cpu_capability().startswith("AVX512")
    return torch.autocast(device.type, torch.bfloat16, enabled=pays)
