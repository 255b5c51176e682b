"""The command `emotion`: predict clips, draw the timeline of one, list the models."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from avemotion.api.base import Schema
from avemotion.api.predictions import ClipPrediction, PredictResponse
from avemotion.api.timeline import TimelineResponse
from avemotion.client.calls import ADDRESS, TIMEOUT
from avemotion.client.drawing import draw_in_terminal, draw_png
from avemotion.client.rest import EmotionClient
from avemotion.preprocessing.errors import EmotionError

KEY_VARIABLE = "EMO_API_KEY"
_BAR = 30
_NOBODY = "nobody seen or heard"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except EmotionError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        if request_id := getattr(error, "request_id", None):
            print(f"request id: {request_id}", file=sys.stderr)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # the reader of the pipe has closed it
    except OSError as error:
        print(f"{error.filename}: {error.strerror}", file=sys.stderr)
    return 1


def _predict(options: argparse.Namespace) -> int:
    if options.triton:
        from avemotion.client.direct import MODEL, TritonClient  # noqa: PLC0415 (needs an extra)

        with TritonClient(
            options.triton, model=options.model or MODEL, version=options.version or "", timeout=options.timeout
        ) as triton:
            _show(options, [triton.predict(path) for path in options.clip])
        return 0
    with _client(options) as gateway:
        chosen = {"model": options.model, "version": options.version}
        if options.sampled:
            predictions = [gateway.predict_sampled(path, **chosen) for path in options.clip]
        else:
            predictions = [gateway.predict(path, explain=options.explain, **chosen) for path in options.clip]
    _show(options, predictions)
    return 0


def _watch(options: argparse.Namespace) -> int:
    with _client(options) as gateway:
        timeline = gateway.timeline(options.clip, step=options.step, model=options.model, version=options.version)
    if options.json:
        _print_json(timeline)
    elif options.png:
        draw_png(timeline, options.png)
    else:
        print(draw_in_terminal(timeline, colour=sys.stdout.isatty()))
        print(_summary(timeline))
    return 0


def _models(options: argparse.Namespace) -> int:
    with _client(options) as gateway:
        models = gateway.models()
    if options.json:
        _print_json(models)
        return 0
    for model in models:
        notes = [*(["default"] if model.default else []), "ready" if model.ready else "not ready"]
        print(f"{model.name}  version {', '.join(model.versions) or '–'}  ({', '.join(notes)})")
    return 0


def _client(options: argparse.Namespace) -> EmotionClient:
    return EmotionClient(options.address, api_key=options.api_key, timeout=options.timeout, wait_when_busy=options.wait)


def _show(options: argparse.Namespace, predictions: Sequence[ClipPrediction]) -> None:
    if options.json:
        _print_json(predictions if len(predictions) > 1 else predictions[0])
        return
    for path, prediction in zip(options.clip, predictions, strict=True):
        doubt = ", uncertain" if prediction.uncertain else ""
        print(f"{path}: {prediction.top1.label} – {prediction.top1.prob:.1f} % ({prediction.model}{doubt})")
        for label, probability in zip(prediction.labels, prediction.probs, strict=True):
            print(f"  {label:10} {probability:5.1f} %  {'█' * round(_BAR * probability / 100)}")
        for sentence in (*prediction.missing.values(), *filter(None, [prediction.note])):
            print(f"  {sentence}")
        if isinstance(prediction, PredictResponse) and prediction.explanation:
            print(f"  {prediction.explanation}")


def _summary(timeline: TimelineResponse) -> str:
    """The stretches with the same top emotion, by the middles of their windows, one a line."""
    stretches: list[tuple[str, float, float]] = []
    for row in timeline.rows:
        middle = (row.start + row.end) / 2
        label = _NOBODY if row.top1 is None else f"{row.top1.label}{', uncertain' if row.uncertain else ''}"
        if stretches and stretches[-1][0] == label:
            stretches[-1] = (label, stretches[-1][1], middle)
        else:
            stretches.append((label, middle, middle))
    return "\n".join(f"{first:6.1f} – {last:.1f} s  {label}" for label, first, last in stretches)


def _print_json(answer: Schema | Sequence[Schema]) -> None:
    body = answer.model_dump() if isinstance(answer, Schema) else [item.model_dump() for item in answer]
    print(json.dumps(body, indent=2))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="emotion",
        description="Estimate which emotion clips express. It does not tell what a person feels.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    shared = argparse.ArgumentParser(add_help=False)
    add = shared.add_argument
    add("--address", default=ADDRESS, metavar="URL", help=f"the gateway (default {ADDRESS})")
    add("--api-key", default=os.environ.get(KEY_VARIABLE), help=f"key of the gateway (default: ${KEY_VARIABLE})")
    add("--model", help="name of a model (default: the gateway's)")
    add("--version", help="version of the model (default: the newest)")
    add("--timeout", type=float, default=TIMEOUT, metavar="S", help=f"longest wait, seconds (default {TIMEOUT:g})")
    add("--wait", type=float, default=0.0, metavar="S", help="seconds to wait in all while the gateway is busy")
    add("--json", action="store_true", help="print the answer as JSON")

    predict = commands.add_parser("predict", parents=[shared], help="predict clips")
    predict.add_argument("clip", nargs="+", type=Path, help="file: mp4, mov, webm, matroska, avi, wav or flac")
    way = predict.add_mutually_exclusive_group()
    way.add_argument("--triton", metavar="HOST:PORT", help="decode here, and ask Triton's gRPC service directly")
    way.add_argument("--sampled", action="store_true", help="send 8 frames and the sound instead of the clip")
    way.add_argument("--explain", action="store_true", help="request the probabilities in plain words")
    predict.set_defaults(run=_predict)

    watch = commands.add_parser("watch", parents=[shared], help="draw how the expressed emotion changes along a clip")
    watch.add_argument("clip", type=Path, help="file of at most a minute")
    watch.add_argument("--step", type=float, metavar="S", help="seconds from one window to the next")
    watch.add_argument("--png", type=Path, metavar="FILE", help="draw into a PNG file instead of the terminal")
    watch.set_defaults(run=_watch)

    models = commands.add_parser("models", parents=[shared], help="list the models that can be selected")
    models.set_defaults(run=_models)
    return parser


if __name__ == "__main__":
    sys.exit(main())
