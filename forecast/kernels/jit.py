"""The one import guard of numba, and the one way kernels are compiled.

`jit` is for plain loops: `contract` and `nsz` are the only liberties taken; `nnan` would delete the test y == y for
missing values. `exact` takes none: what a kernel computes is what it says, operation by operation, so that the same
source compiled for one lane and for many gives the same bits (`forecast.kernels.lanes`). `inner` is the same for the
pieces of such a kernel, which are written into it, `apart` for those that are better compiled alone.
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
    """A piece of an `exact` kernel, which only kernels call; it is written into its caller."""
    return _piece(kernel, True)


def apart(kernel: Kernel) -> Kernel:
    """A piece whose loops need all registers: the compiler may leave it alone."""
    return _piece(kernel, False)


def _piece(kernel: Kernel, inside: bool) -> Kernel:
    if not AVAILABLE:
        return kernel
    alone: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    compiled: Any = njit(nogil=True, error_model="numpy", forceinline=inside, **alone)(kernel)
    return compiled
