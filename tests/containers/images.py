"""Our images, built as their Dockerfiles say."""

from __future__ import annotations

from tests.containers.bases import DOCKERFILES, ROOT
from tests.containers.engine import Engine

BUILDING_SECONDS = 900


def name_of(part: str) -> str:
    """Name of an image as compose and Kubernetes' overlay `local` have it."""
    return f"emotion-{part}:local"


def build(engine: Engine, part: str) -> None:
    """Build one image; packages come by the network of this machine, as a private engine has no other."""
    engine.docker(
        "build",
        "--network",
        "host",
        "--file",
        str(DOCKERFILES[part]),
        "--tag",
        name_of(part),
        str(ROOT),
        timeout=BUILDING_SECONDS,
    )
