"""`python -m export.uncertainty DATA`: accuracy of certain and of uncertain answers, on voices of unseen actors.

Judges the 240 RAVDESS clips of the four actors whom the starter model was not trained on, voice alone. The model's
temperatures were fitted on clips of these actors, so accuracy on other people is slightly lower.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from avemotion.api.predictions import UNCERTAIN_RULE, is_uncertain
from avemotion.preprocessing.clip import read_clip
from avemotion.preprocessing.contract import EVIDENCE, PROBABILITIES
from export.parity import open_session, run

MODEL: Final = Path(__file__).parents[1] / "model_repository" / "emotion_int8" / "1" / "model.onnx"
ACTORS: Final = (2, 7, 14, 21)


def main() -> None:
    """Predict each clip, and print the accuracy of both kinds of answer."""
    parser = argparse.ArgumentParser(prog="python -m export.uncertainty", description=__doc__)
    parser.add_argument("data", type=Path, help="folder with ravdess_speech/")
    options = parser.parse_args()
    session = open_session(MODEL)
    right: dict[bool, list[bool]] = {False: [], True: []}
    for actor in ACTORS:
        for path in sorted((options.data / "ravdess_speech" / f"Actor_{actor:02}").glob("*.flac")):
            outputs = run(session, read_clip(path).tensors())
            [probabilities], voice = outputs[PROBABILITIES.name], outputs[EVIDENCE.name][:, 1]
            label = int(path.stem.split("-")[2]) - 1
            right[is_uncertain(probabilities, voice)].append(int(np.argmax(probabilities)) == label)
    print(UNCERTAIN_RULE)
    for uncertain, outcomes in right.items():
        kind = "uncertain" if uncertain else "certain"
        print(f"{kind}: {len(outcomes)} clips, {100 * float(np.mean(outcomes)):.1f} % right")


if __name__ == "__main__":
    main()
