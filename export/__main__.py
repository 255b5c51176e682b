"""Command line: `python -m export checkpoints/best.pt`, and commands on the model repository."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from avemotion.preprocessing.errors import EmotionError
from export.arguments import command_parser, export_parser, limits_of, recipe_of
from export.errors import RepositoryError
from export.repository import promote, prune, roll_back, served, versions


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given and given[0] in _COMMANDS:
            command = _COMMANDS[given[0]]
            command(command_parser(given[0], (command.__doc__ or "").splitlines()[0]).parse_args(given[1:]))
        else:
            _export(export_parser().parse_args(given))
    except EmotionError as error:
        print(f"{error.code}: {error.message}", file=sys.stderr)
        return 1
    return 0


def _export(options: argparse.Namespace) -> None:
    from export.pipeline import Settings, export_checkpoint  # noqa: PLC0415 (imports torch, which the other commands do not need)

    export_checkpoint(
        Settings(
            checkpoint=options.checkpoint,
            repository=options.repository,
            cache=options.cache,
            calibration_clips=options.calibration_clips,
            recipe=recipe_of(options),
            limits=limits_of(options),
            runs=options.runs,
            compare=options.compare,
        )
    )


def _list(options: argparse.Namespace) -> None:
    """List the models of the repository, their versions, and which of them Triton serves."""
    for model in sorted(path.parent for path in options.repository.glob("*/config.pbtxt")):
        current = served(model)
        found = versions(model)
        print(model.name + ("" if found else "  no version"))
        for version in found:
            state = "served" if version == current else "retired" if version.is_retired else "older"
            print(f"  {version.number:<4} {state}")


def _promote(options: argparse.Namespace) -> None:
    """Serve a version; newer versions are retired."""
    promote(_model(options), options.version)
    print(f"{options.model}: version {options.version} is served.")


def _rollback(options: argparse.Namespace) -> None:
    """Serve the version before the one that is served now."""
    print(f"{options.model}: version {roll_back(_model(options))} is served.")


def _prune(options: argparse.Namespace) -> None:
    """Delete the oldest versions, but never the served one."""
    deleted = ", ".join(map(str, prune(_model(options), options.keep)))
    print(f"{options.model}: " + (f"deleted {deleted}." if deleted else "nothing to delete."))


def _inspect(options: argparse.Namespace) -> None:
    """Print the contract, origin, size, inputs, outputs and operators of an ONNX file."""
    from export.inspection import inspect  # noqa: PLC0415 (slow to import)

    print(inspect(options.model))


def _configure(options: argparse.Namespace) -> None:
    """Write all config.pbtxt files: those of the repository's models and those of the GPU overlay."""
    from export.overlays import write_configurations  # noqa: PLC0415

    for path in write_configurations(options.repository):
        print(path)


def _sweep(options: argparse.Namespace) -> None:
    """Benchmark settings of dynamic batching, instances and threads on a real Triton server."""
    from export.sweep import sweep  # noqa: PLC0415 (imports Triton's client)

    sweep(
        options.repository / options.model,
        options.output,
        seconds=options.seconds,
        clients=tuple(options.clients),
    )


def _model(options: argparse.Namespace) -> Path:
    folder: Path = options.repository / options.model
    if not (folder / "config.pbtxt").is_file():
        known = ", ".join(sorted(path.parent.name for path in options.repository.glob("*/config.pbtxt"))) or "none"
        raise RepositoryError(f"{options.repository} has no model {options.model} with a config.pbtxt; it has {known}.")
    return folder


_COMMANDS: dict[str, Callable[[argparse.Namespace], None]] = {
    "list": _list,
    "promote": _promote,
    "rollback": _rollback,
    "prune": _prune,
    "inspect": _inspect,
    "configure": _configure,
    "sweep": _sweep,
}


if __name__ == "__main__":
    sys.exit(main())
