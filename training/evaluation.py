"""Evaluation of a network on clips that it was not trained on, with both modalities and with either alone."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import DataLoader

from avemotion.preprocessing.contract import PRESENT
from training.calibration import fit_temperature
from training.data.samples import LABEL
from training.features import FeatureSamples, forward
from training.metrics import calibration_error, chance_calibration_error, reliability, score, unweighted_recall
from training.network import EmotionNetwork, Temperatures, choose_prediction

FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

ABLATIONS: Final = {"both": (True, True), "video only": (True, False), "audio only": (False, True)}
"""The modalities that the network gets. With one alone, its branch answers."""

EMBEDDED: Final = {f"fusion of {name}": name for name in ("video only", "audio only")}
"""Predictions of the fusion with a learned embedding for the other modality; they are not served."""

MEASURED: Final = (*ABLATIONS, *EMBEDDED)
"""All predictions of a network that are scored."""

_BATCH: Final = 64


@dataclass(frozen=True)
class Predictions:
    """Logits of a network for some samples, calibrated or not.

    Attributes:
        fused: float32 [N, 8] of the fusion.
        video: float32 [N, 8] of the video branch.
        audio: float32 [N, 8] of the audio branch.
        present: bool [N, 2], the modalities of each sample.
        labels: int64 [N].
        places: int64 [N], the sample of each prediction.
    """

    fused: FloatArray
    video: FloatArray
    audio: FloatArray
    present: npt.NDArray[np.bool_]
    labels: IntArray
    places: IntArray

    @property
    def served(self) -> FloatArray:
        """float32 [N, 8]: the fusion's logits, or those of the branch whose modality alone is present."""
        values = (torch.from_numpy(each) for each in (self.fused, self.video, self.audio, self.present))
        return np.asarray(choose_prediction(*values).numpy())

    def calibrated(self, temperatures: Temperatures) -> Predictions:
        """The predictions with logits divided by temperatures."""
        return Predictions(
            self.fused / temperatures.fused,
            self.video / temperatures.video,
            self.audio / temperatures.audio,
            self.present,
            self.labels,
            self.places,
        )


@torch.inference_mode()
def predict(
    network: EmotionNetwork, samples: FeatureSamples, allowed: tuple[bool, bool] = ABLATIONS["both"]
) -> Predictions:
    """Predict samples from their branch features.

    Args:
        network: Set to evaluation mode.
        samples: The samples.
        allowed: The modalities that the network gets; samples that have none of them are left out.
    """
    network.eval()
    device = next(network.parameters()).device
    parts: list[tuple[npt.NDArray[Any], ...]] = []
    for batch in DataLoader(samples, _BATCH):
        present = batch[PRESENT.name] & torch.tensor(allowed)
        some = present.any(dim=1)
        inputs = {name: values[some].to(device) for name, values in (batch | {PRESENT.name: present}).items()}
        output = forward(network, inputs)
        predictions = (output.logits, output.video_logits, output.audio_logits, inputs[PRESENT.name], inputs[LABEL])
        parts.append(tuple(values.float().cpu().numpy() for values in predictions))
    fused, video, audio, given, labels = (np.concatenate(values) for values in zip(*parts, strict=True))
    places = np.flatnonzero((samples.present & np.array(allowed)).any(axis=1))
    return Predictions(fused, video, audio, given.astype(np.bool_), labels.astype(np.int64), places)


def predict_all(network: EmotionNetwork, samples: FeatureSamples) -> dict[str, Predictions]:
    """Predictions for each of `ABLATIONS` that the samples allow."""
    return {
        name: predict(network, samples, allowed)
        for name, allowed in ABLATIONS.items()
        if (samples.present & np.array(allowed)).any()
    }


def fit_temperatures(predictions: Predictions) -> Temperatures:
    """Fit temperatures to predictions on unseen clips; a classifier without predictions keeps 1."""
    seen, heard = predictions.present.T
    found = []
    for logits, there in ((predictions.fused, seen & heard), (predictions.video, seen), (predictions.audio, heard)):
        found.append(fit_temperature(logits[there], predictions.labels[there]) if there.any() else 1.0)
    return Temperatures(*found)


def evaluate(
    network: EmotionNetwork, temperatures: Temperatures, samples: FeatureSamples, actors: IntArray | None = None
) -> dict[str, Any]:
    """Evaluate a network on one set of samples; the result is that of `summarise`."""
    predictions = predict_all(network, samples)
    return summarise(predictions, {name: each.calibrated(temperatures) for name, each in predictions.items()}, actors)


def summarise(
    raw: dict[str, Predictions], calibrated: dict[str, Predictions], actors: IntArray | None = None
) -> dict[str, Any]:
    """Score predictions for a report, ready for JSON.

    Args:
        raw: Predictions by name in `ABLATIONS`.
        calibrated: The same, calibrated.
        actors: int64 [N], the actor of each sample.

    Returns:
        `clips`; scores of served predictions by name in `ABLATIONS`, and of `EMBEDDED`; for all present modalities,
        `calibration` (errors and reliability before and after, and the error by chance) and scores by `actors`.
    """
    before = raw["both"]
    both = calibrated["both"]
    probabilities = softmax(both.served)
    report: dict[str, Any] = {"clips": len(both.labels)}
    for name, predictions in calibrated.items():
        report[name] = asdict(score(softmax(predictions.served), predictions.labels))
    for name, given in EMBEDDED.items():
        if given in calibrated:
            report[name] = asdict(score(softmax(calibrated[given].fused), calibrated[given].labels))
    mean, high = chance_calibration_error(probabilities)
    report["calibration"] = {
        "before": calibration_error(softmax(before.served), before.labels),
        "after": calibration_error(probabilities, both.labels),
        "by_chance_mean": mean,
        "by_chance_95th_percentile": high,
        "reliability_before": [asdict(each) for each in reliability(softmax(before.served), before.labels)],
        "reliability_after": [asdict(each) for each in reliability(probabilities, both.labels)],
    }
    if actors is not None:
        spoken = actors[both.places]
        report["actors"] = {
            str(actor): _by_actor(probabilities[spoken == actor], both.labels[spoken == actor])
            for actor in np.unique(spoken)
        }
    return report


def softmax(logits: FloatArray, temperature: float = 1.0) -> FloatArray:
    """Probabilities [N, 8] of logits [N, 8]."""
    exponents = np.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
    return np.asarray(exponents / exponents.sum(axis=1, keepdims=True), np.float32)


def _by_actor(probabilities: FloatArray, labels: IntArray) -> dict[str, float | int]:
    return {
        "clips": len(labels),
        "accuracy": float((probabilities.argmax(axis=1) == labels).mean()),
        "unweighted_recall": unweighted_recall(probabilities, labels),
    }
