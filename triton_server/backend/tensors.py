"""Tensors between Triton's Python stub and numpy, because the stub's own conversions are wrong with numpy 2.

The stub was built with a pybind11 that predates numpy 2: `Tensor.as_numpy()` then repeats the first element
everywhere and `Tensor(name, array)` sends no bytes, both without an error. DLPack crosses unharmed, in both
directions; `check` proves it once per model instance, before the first request.
"""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np
import numpy.typing as npt
import triton_python_backend_utils as pb_utils

Array = npt.NDArray[Any]

# The name that marks a DLPack capsule as consumed. A module constant because a capsule keeps the pointer.
_CONSUMED = b"used_dltensor"
_set_capsule_name = ctypes.pythonapi.PyCapsule_SetName
_set_capsule_name.argtypes = [ctypes.py_object, ctypes.c_char_p]
_set_capsule_name.restype = ctypes.c_int


class _CapsuleSource:
    """A Triton tensor for `np.from_dlpack`, without the keyword arguments that only numpy 2 passes."""

    def __init__(self, tensor: Any) -> None:  # noqa: ANN401 (the stub's classes have no type stubs)
        self._tensor = tensor

    def __dlpack__(self, **_: object) -> Any:  # noqa: ANN401 (a capsule, a type without a name before Python 3.13)
        return self._tensor.to_dlpack()

    def __dlpack_device__(self) -> tuple[int, int]:
        device: tuple[int, int] = self._tensor.__dlpack_device__()
        return device


def view(tensor: Any) -> Array:  # noqa: ANN401 (see above)
    """A tensor of a request as an array in Triton's shared memory.

    Args:
        tensor: A `triton_python_backend_utils.Tensor` in CPU memory.

    Returns:
        A read-only view that may be unaligned: copy it before handing it to ONNX Runtime.
    """
    return np.from_dlpack(_CapsuleSource(tensor))


def to_triton(name: str, array: Array) -> Any:  # noqa: ANN401 (see above)
    """An array as a tensor of a response.

    Args:
        name: Name of the output.
        array: Any numeric or boolean array; it must not be written to until the response is sent.

    Returns:
        A `triton_python_backend_utils.Tensor` that keeps the array alive.
    """
    capsule = np.ascontiguousarray(array).__dlpack__()
    tensor = pb_utils.Tensor.from_dlpack(name, capsule)
    # The stub renames the capsule to "used_dlpack", which numpy's destructor does not know: it would print an
    # error for every tensor and leak it.
    _set_capsule_name(capsule, _CONSUMED)
    return tensor


def check() -> None:
    """Send random values through both directions.

    Raises:
        RuntimeError: They came back changed; this numpy and this stub do not work together.
    """
    for values in (
        np.random.default_rng().random((3, 5), np.float32),
        np.random.default_rng().integers(0, 256, (3, 5), np.uint8),
        np.random.default_rng().random((3, 5)) < 0.5,
    ):
        if not np.array_equal(view(to_triton("check", values)), values):
            raise RuntimeError(
                f"numpy {np.__version__} and Triton's Python stub exchange {values.dtype} tensors wrongly."
            )
