"""What distinguishes one network from another, as it is written into a checkpoint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, get_args

Fusion = Literal["late", "concat", "gated", "xattn"]
"""How the branches are joined: by their logits, features side by side, a gate, or attention both ways."""

XattnHead = Literal["concat", "gated"]
"""How `xattn` joins its two pooled token sequences."""

FUSIONS: Final[tuple[Fusion, ...]] = get_args(Fusion)
XATTN_HEADS: Final[tuple[XattnHead, ...]] = get_args(XattnHead)


@dataclass(frozen=True)
class NetworkConfig:
    """The architecture of an `EmotionNetwork`.

    Attributes:
        fusion: How the branches are joined.
        xattn_head: The head of `xattn`; the other fusions ignore it.
    """

    fusion: Fusion = "xattn"
    xattn_head: XattnHead = "concat"

    def __post_init__(self) -> None:
        """Refuse names that no fusion or head has.

        Raises:
            ValueError: The fusion or the head is unknown.
        """
        if self.fusion not in FUSIONS:
            raise ValueError(f"fusion is {self.fusion!r}, it must be one of {', '.join(FUSIONS)}")
        if self.xattn_head not in XATTN_HEADS:
            raise ValueError(f"xattn_head is {self.xattn_head!r}, it must be one of {', '.join(XATTN_HEADS)}")
