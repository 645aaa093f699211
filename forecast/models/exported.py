"""A deep forecaster and its states as plain arrays, which `forecast.portable` runs without torch.

Names are those of the modules; weights of linear maps are stored the way they are multiplied (in, out); poles are discretised, in
float64. Lanes are the channels of the series: leaves (B C …) are stored as (B·C …).
"""

import io
import json
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from forecast.distribution import StudentT
from forecast.durable import write_durably
from forecast.errors import InputError
from forecast.layers.attention import Attention
from forecast.layers.matrix import LinearAttention, Performer
from forecast.layers.recurrent import Gated
from forecast.layers.s4 import S4
from forecast.layers.s4d import S4D
from forecast.layers.s5 import S5
from forecast.layers.sequence import SequenceLayer
from forecast.layers.student import StudentHead
from forecast.models.deep import BOUND, DeepState
from forecast.models.forecaster import Forecaster
from forecast.models.seasonal_lti import SeasonalLTI
from forecast.models.stack import StackForecaster
from forecast.portable.elementary import Array
from forecast.portable.machine import FORMAT
from forecast.ssm.modes import Modes
from forecast.types import leaves

Tensors = dict[str, Tensor]


def write(path: Path, model: Forecaster, state: DeepState | None = None) -> int:
    """Write the file in one step, with the states of a batch of series where they are given; returns its size in bytes."""
    if not isinstance(model, StackForecaster):
        raise InputError(
            f"{type(model).__name__} cannot be exported: only lti, seasonal_lti and the deep members can; train one of them"
        )
    with torch.no_grad():
        arrays = {name: part.detach().cpu().numpy() for name, part in _arrays(model).items()}
        initial = model.initial_state((), torch.zeros(1, model.static))
    lane = [part[:1] for part in lanes(initial)[:-1]]
    arrays |= {f"state.{i}": part for i, part in enumerate(lane)}
    if state is not None:
        arrays |= {f"warm.{i}": part for i, part in enumerate(lanes(state))} | {"warm.static": state.static.numpy()}
    text = json.dumps(
        _header(model) | {"leaves": len(lane), "series": 0 if state is None else len(state.static)}, sort_keys=True
    )
    arrays["header"] = np.frombuffer(text.encode(), np.uint8)
    content = io.BytesIO()
    np.savez(content, **{name: np.ascontiguousarray(part) for name, part in arrays.items()})  # type: ignore[arg-type]
    write_durably(path, content.getvalue())
    return len(content.getvalue())


def lanes(state: DeepState) -> list[Array]:
    """A state as `Machine.put_state` takes it: scale, bank, profile of a season, deep path, the linear features of the last row."""
    deep = state.encoder.deep
    held = deep.held.shape[-1] if deep else 0
    features = state.features[..., : state.features.shape[-1] - held]
    profile = [state.encoder.profile] if hasattr(state.encoder, "profile") else []
    parts = [state.moments, *leaves(state.encoder.bank), *profile, *(leaves(deep) if deep else []), features]
    return [part.flatten(0, 1).detach().cpu().numpy() for part in parts]


def _header(model: StackForecaster) -> dict[str, Any]:
    head = model.head
    season = model.profile if isinstance(model, SeasonalLTI) else None
    return {
        "portable": FORMAT,
        "levels": head.levels,
        "channels": model.channels,
        "horizon": model.horizon,
        "inputs": model.inputs,
        "static": model.static,
        "blocks": model.blocks,
        "every": model.every,
        "scale": (model.scale.half_life, model.scale.floor),
        "bounds": (BOUND, *model.encoder.bank.bend, model.encoder.bank.most),
        "head": {
            "horizon": head.basis.horizon,
            "frequencies": head.basis.frequencies,
            "middle": head.middle,
            "linear": head.linear,
            "inputs": model.inputs,
            "needs": model.seen,
            "reach": model.reach,
        },
        "profile": season and {"rows": season.season, "longer": season.longer, "gain": season.gain, "fade": 0.5 ** (1 / season.half_life)},
    }


def _arrays(model: StackForecaster) -> Tensors:
    bank, head, deep = model.encoder.bank, model.head, model.encoder.deep
    modes, kind = bank.modes(), bank.spread.dtype
    made = {
        "bank.log": torch.stack([modes.log_r[0], modes.log_i[0]]),
        "bank.readout": torch.stack([modes.c_r[0], modes.c_i[0]]).to(kind),
        "bank.kept": bank.kept,
        "bank.spread": bank.spread,
        "mix": head.basis.mix,
        "table": head.basis.table,
    }
    made |= {name: getattr(head, name) for name in ("weight", "shape", "effect", "stretch", "offset")}
    made |= {f"known.{name}": getattr(head.known, name) for name in ("loc", "scale", "first", "second")}
    if isinstance(model, SeasonalLTI):
        made["blend"] = model.blend
    if isinstance(head, StudentHead):
        standard = StudentT(*(torch.tensor(each, dtype=torch.float64) for each in (0.0, 1.0, float(head.df))))
        made |= {"standard": standard.quantile(torch.tensor(head.levels, dtype=torch.float64)), "log_stretch": head.stretch.log().mean()}
    for name in ("median", "gaps", "bend", "context"):
        part = getattr(head, name)
        made |= _linear(part, f"{name}.") if part is not None else {}
    if deep is None:
        return made
    stack: Any = deep.inner
    made |= _linear(stack.embed, "embed.") | {"norm.weight": stack.norm.weight}
    for i, block in enumerate(stack.blocks):
        made |= {f"{i}.norm.weight": block.norm.weight} | _linear(block.mix, f"{i}.mix.")
        made |= {f"{i}.layer.{name}": part for name, part in of_layer(block.layer).items()}
    return made


def _linear(module: nn.Module, prefix: str = "") -> Tensors:
    """Weights of the linear maps of a module, transposed, and whatever else it has."""
    return {prefix + name: part.mT if part.dim() == 2 else part for name, part in module.state_dict().items()}


@singledispatch
def of_layer(layer: SequenceLayer[Any]) -> Tensors:
    """What `forecast.portable.layers` needs of a layer."""
    maps = {name for name, part in layer.named_modules() if isinstance(part, nn.Linear)}
    return {
        name: part.mT if part.dim() == 2 and name.rpartition(".")[0] in maps else part
        for name, part in layer.state_dict().items()
    }


@of_layer.register
def _(layer: S4D) -> Tensors:
    return _poles(layer.modes()) | {"direct": layer.direct}


@of_layer.register
def _(layer: S5) -> Tensors:
    modes, gain = layer.modes()
    own = {"gain": torch.stack([gain.real, gain.imag]).to(layer.direct.dtype), "direct": layer.direct}
    return _poles(modes) | own | {"inward": layer.inward, "outward": layer.outward}


@of_layer.register
def _(layer: S4) -> Tensors:
    own = {
        "continuous": layer.continuous(),
        "log_step": layer.log_step.double(),
        "put": layer.put().to(layer.direct.dtype),
    }
    return own | {"outward": layer.outward, "direct": layer.direct}


@of_layer.register
def _(layer: LinearAttention) -> Tensors:
    own = {"directions": layer.directions.mT} if isinstance(layer, Performer) else {}
    return _linear(layer) | own | {"heads": torch.tensor([layer.shape[0]])}


@of_layer.register
def _(layer: Attention) -> Tensors:
    return _linear(layer) | {"turn": layer.turn}


@of_layer.register
def _(layer: Gated) -> Tensors:
    weights = layer.net.state_dict()
    both = {f"{way}.weight": weights[f"weight_{way}_l0"].mT for way in ("ih", "hh")}
    return both | {f"{way}.bias": weights[f"bias_{way}_l0"] for way in ("ih", "hh")}


def _poles(modes: Modes) -> Tensors:
    return {"log": torch.stack([modes.log_r, modes.log_i]), "readout": torch.stack([modes.c_r, modes.c_i])}
