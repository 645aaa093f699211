"""The one import guard of numba, and the one way kernels are compiled.

Kernels work on blocks of lanes: the innermost axis of every array is a run-time number of series that advance together,
so that the compiler turns each inner loop into vector instructions. A lane never reads another lane: a series has the
same bits in any company. `contract` and `nsz` are the only liberties taken; `nnan` would delete the test y == y for
missing values.
"""

from collections.abc import Callable
from typing import Any, TypeVar

Kernel = TypeVar("Kernel", bound=Callable[..., Any])

try:
    from numba import njit

    AVAILABLE = True
except ImportError:  # the torch twins take over
    AVAILABLE = False

LANES = 32  # blocks are a multiple of this many lanes, so that no series falls into a scalar remainder loop


def jit(kernel: Kernel) -> Kernel:
    """Compile on first call, kept on disk, without the interpreter lock."""
    if not AVAILABLE:
        return kernel
    compiled: Any = njit(nogil=True, cache=True, error_model="numpy", fastmath={"contract", "nsz"})(kernel)
    return compiled
