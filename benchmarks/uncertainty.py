"""`python -m benchmarks.uncertainty DATA`: what the flag `uncertain` is worth, on voices that the model never heard.

The 240 clips of RAVDESS by the four actors whom the starter model was not trained on, voice alone. Their temperatures
were fitted on clips of these actors, so that the figures are a little better than on others.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import onnxruntime

from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import PROBABILITIES
from avemotion.preprocessing.uncertainty import RULE, is_uncertain
from benchmarks.sampled import MODEL

ACTORS = (2, 7, 14, 21)


def main() -> None:
    """Judge each clip, and print how often answers of each kind are right."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder with ravdess_speech/")
    options = parser.parse_args()
    session = onnxruntime.InferenceSession(MODEL, providers=["CPUExecutionProvider"])
    right: dict[bool, list[bool]] = {False: [], True: []}
    for actor in ACTORS:
        for path in sorted((options.data / "ravdess_speech" / f"Actor_{actor:02}").glob("*.flac")):
            [[probabilities]] = session.run([PROBABILITIES.name], read_clip(path).tensors())
            label = int(path.stem.split("-")[2]) - 1
            right[is_uncertain(probabilities)].append(int(np.argmax(probabilities)) == label)
    print(RULE)
    for uncertain, outcomes in right.items():
        kind = "uncertain" if uncertain else "certain"
        print(f"{kind}: {len(outcomes)} clips, {100 * float(np.mean(outcomes)):.1f} % right")


if __name__ == "__main__":
    main()
