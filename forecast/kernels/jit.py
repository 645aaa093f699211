"""The one import guard of numba, and the one way kernels are compiled.

`jit` is for plain loops: `contract` and `nsz` are the only liberties taken; `nnan` would delete the test y == y for
missing values. `exact` takes none: what a kernel computes is what it says, operation by operation, so that the same
source compiled for one lane and for many gives the same bits (`forecast.kernels.lanes`). `inner` is the same for the
pieces of such a kernel, which are written into it: a call that hands over ten arrays costs more than its arithmetic.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    from numba import njit

    AVAILABLE = True
except ImportError:  # the torch twins take over
    AVAILABLE = False


def jit(kernel: Kernel) -> Kernel:
    """Compile on first call, kept on disk, without the interpreter lock."""
    if not AVAILABLE:
        return kernel
    compiled: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})(kernel)
    return compiled


def exact(kernel: Kernel) -> Kernel:
    """The same without any liberty of rounding."""
    if not AVAILABLE:
        return kernel
    compiled: Any = njit(nogil=True, cache=True, error_model="numpy")(kernel)
    return compiled


def inner(kernel: Kernel) -> Kernel:
    """A piece of an `exact` kernel, which only kernels call."""
    if not AVAILABLE:
        return kernel
    alone: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: Any = njit(nogil=True, error_model="numpy", forceinline=True, **alone)(kernel)
    return compiled
