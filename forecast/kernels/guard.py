"""The one place that imports numba.

`kernel` compiles a function of NumPy arrays and scalars: it runs without the interpreter lock, is cached on disk, and divides
like NumPy. Products and sums may be contracted to fused multiply-adds, nothing else is reordered: a kernel gives the same bits
at every batch size. Where numba is not installed the plain Python function does the same work, slowly.
"""

from collections.abc import Callable
from typing import ParamSpec, TypeVar

from torch import Tensor

try:
    from numba import njit

    compiled = True
except ImportError:  # pragma: no cover - numba is a dependency; a platform without it still works
    compiled = False

Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")


def kernel(function: Callable[Arguments, Result]) -> Callable[Arguments, Result]:
    """`function` compiled, where numba is at hand."""
    if not compiled:
        return function
    built: Callable[Arguments, Result] = njit(nogil=True, cache=True, fastmath={"contract"}, error_model="numpy")(function)
    return built


def usable(tensor: Tensor) -> bool:
    """Whether a kernel can work on this tensor: compiled, on the CPU, in single or double precision."""
    return compiled and tensor.device.type == "cpu" and tensor.dtype.is_floating_point and tensor.element_size() >= 4
