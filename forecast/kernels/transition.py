"""The transition of a lane block: all operations of a program in order, with a tape for their gradients.

Shapes as in `operations`; tape (T R m+1 W): rows of covariance and mean as they stood just before an operation.
"""

from typing import Any

from forecast.kernels.jit import jit
from forecast.kernels.operations import (
    ADD,
    DENSE,
    MIX,
    NOISE,
    SHIFT,
    covariance_operation,
    mean_operation,
    noise_operation,
    turn,
)


@jit
def taped(ops: Any, o: Any) -> Any:
    """How many rows of the belief the gradient of this operation needs."""
    return ops[o, 4] if ops[o, 0] == DENSE else (2 if ops[o, 0] == MIX else 1)


@jit
def taped_role(ops: Any, o: Any, r: Any) -> Any:
    """The role of the r-th of them."""
    if ops[o, 0] == ADD or (ops[o, 0] == MIX and r == 1):
        return ops[o, 2]
    return ops[o, 1] + (r if ops[o, 0] == DENSE else 0)


@jit
def record(tape: Any, t: Any, r: Any, a: Any, A: Any, P: Any) -> Any:
    """Row a of the covariance, and its mean, onto the tape (T R m+1 W)."""
    m, W = A.shape
    for k in range(m):
        x, y = (a, k) if a < k else (k, a)
        for l in range(W):
            tape[t, r, k, l] = P[x, y, l]
    for l in range(W):
        tape[t, r, m, l] = A[a, l]


@jit
def transition(ops: Any, coef: Any, slot: Any, A: Any, P: Any, diffuse_part: Any, tape: Any, t: Any, work: Any) -> Any:
    """Mean and covariance through all operations, or the diffuse part alone, which knows no noise and moves no mean.

    The rows that a gradient will need go to the tape just before each operation.
    """
    for o in range(ops.shape[0]):
        kind = ops[o, 0]
        if kind == SHIFT:
            turn(slot, ops[o, 1], ops[o, 4], False)
        elif kind == NOISE:
            if not diffuse_part:
                noise_operation(ops, o, coef, slot, P)
        else:
            if ops[o, 5] >= 0 and tape.shape[1] > 0:
                for r in range(taped(ops, o)):
                    record(tape, t, ops[o, 5] + r, slot[taped_role(ops, o, r)], A, P)
            if not diffuse_part:
                mean_operation(ops, o, coef, slot, A, False, work)
            covariance_operation(ops, o, coef, slot, P, False, work)
