"""The transition of a block of lanes: all operations of a program in order, with a tape for their gradients.

Lane arrays as in `operations`; the true covariance is P - Σ g g' over the `pending` vectors G (2 m), see `update`.
tape (T R m+1): rows of covariance and mean as they stood just before an operation.
"""

from typing import Any

from forecast.kernels.jit import inner
from forecast.kernels.lanes import fnma
from forecast.kernels.operations import (
    ADD,
    DENSE,
    MIX,
    NOISE,
    SHIFT,
    covariance_operation,
    noise_operation,
    place,
    turn,
    vector_operation,
)


@inner
def taped(ops: Any, o: Any) -> Any:
    """How many rows of the belief the gradient of this operation needs."""
    return ops[6 * o + 4] if ops[6 * o] == DENSE else (2 if ops[6 * o] == MIX else 1)


@inner
def taped_role(ops: Any, o: Any, r: Any) -> Any:
    """The role of the r-th of them."""
    if ops[6 * o] == ADD or (ops[6 * o] == MIX and r == 1):
        return ops[6 * o + 2]
    return ops[6 * o + 1] + (r if ops[6 * o] == DENSE else 0)


@inner
def record(tape: Any, row: Any, a: Any, m: Any, A: Any, P: Any, G: Any, pending: Any) -> Any:
    """Row a of the covariance, and its mean, as the given row of the tape."""
    base = row * (m + 1)
    for k in range(m):
        x = P[place(a, k, m)]
        tape[base + k] = fnma(G[a], G[k], x) if pending else x
    tape[base + m] = A[a]


@inner
def transition(
    model: Any,
    coef: Any,
    at: Any,
    slot: Any,
    A: Any,
    P: Any,
    G: Any,
    pending: Any,
    tape: Any,
    row: Any,
    taping: Any,
    work: Any,
) -> Any:
    """Mean and covariance through all operations; the rows that a gradient will need go to the tape from `row` on."""
    m, _, count, ops = model[:4]
    for o in range(count):
        kind = ops[6 * o]
        if kind == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], False)
        elif kind == NOISE:
            noise_operation(ops, o, coef, at, slot, P, m)
        else:
            if ops[6 * o + 5] >= 0 and taping:
                for r in range(taped(ops, o)):
                    record(tape, row + ops[6 * o + 5] + r, slot[taped_role(ops, o, r)], m, A, P, G, pending)
            vector_operation(ops, o, coef, at, slot, A, 0, False, work)
            if pending:
                vector_operation(ops, o, coef, at, slot, G, 0, False, work)
            covariance_operation(ops, o, coef, at, slot, P, m, False, work)


@inner
def turn_rings(model: Any, slot: Any) -> Any:
    """The map of slots as a transition leaves it."""
    count, ops = model[2], model[3]
    for o in range(count):
        if ops[6 * o] == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], False)


@inner
def diffuse_transition(
    model: Any, coef: Any, at: Any, slot: Any, A: Any, D: Any, G: Any, tape: Any, row: Any, taping: Any, work: Any
) -> Any:
    """The diffuse part through all operations: it knows no noise. Before `transition`, whose map it turns back."""
    m, _, count, ops = model[:4]
    for o in range(count):
        kind = ops[6 * o]
        if kind == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], False)
        elif kind != NOISE:
            if ops[6 * o + 5] >= 0 and taping:
                for r in range(taped(ops, o)):
                    record(tape, row + ops[6 * o + 5] + r, slot[taped_role(ops, o, r)], m, A, D, G, False)
            covariance_operation(ops, o, coef, at, slot, D, m, False, work)
    for o in range(count - 1, -1, -1):
        if ops[6 * o] == SHIFT:
            turn(slot, ops[6 * o + 1], ops[6 * o + 4], True)
