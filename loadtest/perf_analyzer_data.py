"""Real clips as input of NVIDIA's `perf_analyzer`, which otherwise sends random tensors.

    python -m loadtest.perf_analyzer_data clips.json
    perf_analyzer -m emotion_int8 -u 127.0.0.1:8001 -i grpc --input-data clips.json --concurrency-range 1:16:2

The format is that of the tool's documentation: `data` is a list of requests, each with every input's raw bytes in
base64 and its shape without the batch dimension.
"""

from __future__ import annotations

import argparse
import base64
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import INPUTS
from loadtest.clips import load_clips


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the file."""
    parser = argparse.ArgumentParser(prog="python -m loadtest.perf_analyzer_data", description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path, help="file to write, JSON")
    parser.add_argument(
        "--clips", type=Path, help="folder of recordings (default: $EMO_DATA/clips, or synthetic clips)"
    )
    options = parser.parse_args(arguments)
    clips = load_clips(options.clips)
    options.file.write_text(json.dumps(encode([read_clip(clip.data).tensors() for clip in clips])))
    print(f"{options.file} holds {len(clips)} clips: {', '.join(clip.name for clip in clips)}")


def encode(requests: Sequence[dict[str, npt.NDArray[Any]]]) -> dict[str, Any]:
    """The file's content.

    Args:
        requests: The contract's inputs by name, each with a batch dimension of 1.
    """
    return {
        "data": [
            {
                spec.name: {
                    "content": {"b64": base64.b64encode(np.ascontiguousarray(tensors[spec.name]).tobytes()).decode()},
                    "shape": list(spec.shape),
                }
                for spec in INPUTS
            }
            for tensors in requests
        ]
    }


if __name__ == "__main__":
    main()
