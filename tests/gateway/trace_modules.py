"""`python -m tests.gateway.trace_modules [CLIP]`: the project's modules that one clip passes, from socket to JSON.

A profiler notes the module of every call to the project's code, in the gateway and in the decode worker, while
`/predict` answers one request, and prints the modules in the order of their first call. Without a CLIP it sends a
synthetic one. The model is the committed one, in the real Triton.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from avemotion.preprocessing.execution import stage
from gateway.app import create_app
from gateway.decode.messages import DecodedMedia, DecodeTask
from gateway.decode.worker import Decoded, run_task
from gateway.settings import PROJECT_FOLDER
from gateway.telemetry import configure_logging
from tests.gateway.running import running_app, services_of, settings_for_tests, wait_ready
from tests.support.clips import synthetic_clip
from tests.support.triton import serving

_WORKER = "in a worker: "
"""Prefix under which a worker reports a module, as if it were a stage."""


class ModuleTrace:
    """The project's modules in the order of their first call, noted while `recording`.

    Attributes:
        recording: Whether calls are noted.
        modules: Names of the modules.
    """

    def __init__(self, *, recording: bool) -> None:
        self.recording = recording
        self.modules: dict[str, None] = {}

    def note(self, frame: FrameType, event: str, _: Any) -> None:
        """Note one call; for `sys.setprofile`."""
        code = frame.f_code
        if not self.recording or event != "call" or code.co_name == "<module>":
            return
        path = code.co_filename.removeprefix(f"{PROJECT_FOLDER}{os.sep}")
        if path != code.co_filename and not path.startswith((".venv", "tests")):
            self.modules.setdefault(path.removesuffix(".py").replace(os.sep, "."))


def traced_task(task: DecodeTask) -> Decoded:
    """Run a task in a worker, and report the modules that it passed as stages."""
    trace = ModuleTrace(recording=True)
    sys.setprofile(trace.note)
    try:
        decoded = run_task(task)
    finally:
        sys.setprofile(None)
    for name in trace.modules:
        with stage(f"{_WORKER}{name}"):
            pass
    return decoded


@contextmanager
def profiled_threads(trace: ModuleTrace) -> Iterator[None]:
    """Profile the threads that start inside the context."""
    threading.setprofile(trace.note)
    try:
        yield
    finally:
        threading.setprofile(None)


def modules_of_a_prediction(clip: bytes) -> list[str]:
    """The project's modules that a clip passes, in the order of their first call.

    Args:
        clip: The clip that is sent.
    """
    configure_logging("info")
    trace = ModuleTrace(recording=False)
    in_worker: dict[str, None] = {}
    with serving(PROJECT_FOLDER / "model_repository") as triton, contextlib.ExitStack() as stack:
        settings = settings_for_tests(
            mock=False, triton_grpc_port=triton.options.grpc_port, probe_interval=3600.0, request_deadline=60.0
        )
        stack.enter_context(profiled_threads(trace))
        app = create_app(settings, traced_task)
        gateway = stack.enter_context(running_app(app))
        wait_ready(gateway)
        upload = {"file": ("clip", clip)}
        gateway.post("/predict", files=upload).raise_for_status()  # The first request also fills caches.
        pool = services_of(app).pool
        run = pool.run

        async def run_and_note(*args: Any, **options: Any) -> DecodedMedia:
            result: DecodedMedia = await run(*args, **options)
            names = [name.removeprefix(_WORKER) for name in result.stages if name.startswith(_WORKER)]
            in_worker.update(dict.fromkeys(names))
            trace.modules.update(in_worker)
            return result

        pool.run = run_and_note  # type: ignore[method-assign]
        trace.recording = True
        gateway.post("/predict", files=upload).raise_for_status()
        trace.recording = False
    return list(trace.modules)


def main() -> None:
    """Print the modules."""
    parser = argparse.ArgumentParser(prog="python -m tests.gateway.trace_modules", description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, help="a clip; a synthetic one if left out")
    clip = parser.parse_args().clip
    found = modules_of_a_prediction(clip.read_bytes() if clip else synthetic_clip())
    for number, name in enumerate(found, 1):
        print(f"{number:3} {name}")


if __name__ == "__main__":
    main()
