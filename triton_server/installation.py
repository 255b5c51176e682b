"""Where the wheel's Triton is and what it needs to run, or the one reason why it cannot run here.

The wheel is made for another launcher (pytriton's), so its parts are found, checked and put together by hand:
the server, the Python backend, the stub of the environment's Python version, and that Python's shared library.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from triton_server.errors import TritonUnavailableError

MINIMUM_GLIBC = (2, 35)
"""Of the wheel's platform tag, `manylinux_2_35_x86_64`."""

_DESCRIBE_PYTHON = """
import importlib.util, json, sys, sysconfig
print(json.dumps({
    "version": "%d.%d" % sys.version_info[:2],
    "site_packages": sysconfig.get_path("platlib"),
    "library_folders": [sysconfig.get_config_var("LIBDIR") or "", sys.base_prefix + "/lib"],
    "missing": [name for name in ("pytriton", "numpy", "onnxruntime") if importlib.util.find_spec(name) is None],
}))
"""


@dataclass(frozen=True)
class TritonInstallation:
    """The parts of a Triton that can run here.

    Attributes:
        server: The executable `tritonserver`.
        python_backend: Folder of the Python backend's library and utilities.
        stub: Executable that runs Python models, for the environment's Python version.
        python: The environment's Python.
        library_folders: Folders that the loader needs, in order.
    """

    server: Path
    python_backend: Path
    stub: Path
    python: Path
    library_folders: tuple[Path, ...]

    def variables(self) -> dict[str, str]:
        """Environment variables of the server process and its stubs."""
        variables = {name: value for name, value in os.environ.items() if name not in {"PYTHONHOME", "PYTHONPATH"}}
        inherited = os.environ.get("LD_LIBRARY_PATH", "")
        return variables | {
            "LD_LIBRARY_PATH": os.pathsep.join(filter(None, [*map(str, self.library_folders), inherited])),
            # The stub embeds Python and finds its environment by looking for `python3` here, in no other way.
            "PATH": os.pathsep.join([str(self.python.parent), os.environ.get("PATH", os.defpath)]),
            # Tensors of a batch are megabytes. By default glibc maps each afresh and gives it back, and the page
            # faults about double the latency of the transport.
            "MALLOC_MMAP_THRESHOLD_": str(256 * 2**20),
            "MALLOC_TRIM_THRESHOLD_": str(256 * 2**20),
            "MALLOC_TOP_PAD_": str(32 * 2**20),
            # Otherwise ONNX Runtime's package reports its use to its maker.
            "ORT_DISABLE_TELEMETRY": "1",
        }


def find_installation(environment: Path) -> TritonInstallation:
    """Find Triton in a virtual environment and check that its parts load.

    Args:
        environment: Folder of the virtual environment.

    Raises:
        TritonUnavailableError: One sentence that says why Triton cannot run.
    """
    _check_machine()
    # Not resolved: the link inside the environment is what makes it an environment.
    python = environment.absolute() / "bin" / "python"
    if not python.exists():
        raise TritonUnavailableError(
            f"There is no virtual environment '{environment}': Triton's wheel is installed into one of its own, "
            "see triton_server/README.md."
        )
    described = subprocess.run([python, "-I", "-c", _DESCRIBE_PYTHON], capture_output=True, text=True, check=False)
    if described.returncode != 0:
        raise TritonUnavailableError(
            f"The Python of environment '{environment}' does not start: {described.stderr.strip()}."
        )
    facts = json.loads(described.stdout)
    if facts["missing"]:
        raise TritonUnavailableError(
            f"Environment '{environment}' lacks {' and '.join(facts['missing'])}: "
            "install triton_server/requirements.txt into it with --no-deps."
        )
    site_packages = Path(facts["site_packages"])
    wheel = site_packages / "pytriton" / "tritonserver"
    stubs = wheel / "python_backend_stubs"
    stub = stubs / facts["version"] / "triton_python_backend_stub"
    if not stub.exists():
        versions = sorted((path.name for path in stubs.iterdir()), key=lambda name: int(name.split(".")[1]))
        raise TritonUnavailableError(
            f"Triton's wheel has no stub for Python {facts['version']} of environment '{environment}'; "
            f"it has {', '.join(versions)}."
        )
    installation = TritonInstallation(
        server=wheel / "bin" / "tritonserver",
        python_backend=wheel / "backends" / "python",
        stub=stub,
        python=python,
        library_folders=(
            site_packages / "nvidia_pytriton.libs",
            *(Path(folder) for folder in facts["library_folders"] if folder and Path(folder).is_dir()),
        ),
    )
    for executable in (installation.server, installation.stub):
        _check_libraries(executable, installation)
    return installation


def _check_machine() -> None:
    system, machine = platform.system(), platform.machine()
    if system != "Linux" or machine != "x86_64":
        raise TritonUnavailableError(f"Triton's wheel is for Linux on x86_64; this is {system} on {machine}.")
    library, version = platform.libc_ver()
    if library != "glibc" or tuple(map(int, version.split(".")[:2])) < MINIMUM_GLIBC:
        minimum = ".".join(map(str, MINIMUM_GLIBC))
        raise TritonUnavailableError(
            f"Triton's wheel needs glibc {minimum} or newer; this system has "
            f"{f'{library} {version}' if library else 'another C library'}."
        )
    if shutil.which("bash") is None:
        raise TritonUnavailableError("Triton starts its Python stub through bash, which is not on the PATH.")


def _check_libraries(executable: Path, installation: TritonInstallation) -> None:
    """Ask the loader, without running the executable: a stub that lacks libpython hangs instead of failing."""
    traced = subprocess.run(
        [executable],
        env=installation.variables() | {"LD_TRACE_LOADED_OBJECTS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    missing = [line.split()[0] for line in traced.stdout.splitlines() if line.endswith("=> not found")]
    if missing:
        advice = (
            "; install the package that holds it, or a Python built with --enable-shared"
            if missing[0].startswith("libpython")
            else ""
        )
        raise TritonUnavailableError(
            f"Triton's {executable.name} needs the shared library {missing[0]}, which is in none of "
            f"{', '.join(map(str, installation.library_folders))}{advice}."
        )
    if traced.returncode != 0:
        raise TritonUnavailableError(f"Triton's {executable.name} does not load: {traced.stderr.strip()}.")
