"""Models, their parameters and their states on disk: one safetensors file, its description in JSON, no pickle.

The file is what `safetensors` writes, with one metadata entry `forecast`: a JSON object with the class, its constructor
arguments, the shape of the parameter and state trees, free facts (plain JSON) and the SHA-256 of all that and of the tensors. A file is
accepted only if writing it again gives the same bytes and the digest agrees: one flipped bit anywhere is refused. Classes come
from our own package alone and must be what they claim: a Forecaster, or a NamedTuple of a state.
"""

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from safetensors.torch import load as read_tensors
from safetensors.torch import save as write_tensors
from torch import Tensor

from forecast import classes
from forecast.detect.detector import Detector
from forecast.detect.monitor import Machines, Monitor
from forecast.durable import write_durably
from forecast.errors import InputError
from forecast.models.forecaster import Forecaster
from forecast.types import Parameters, State, tree_map

FORMAT = 1
LIMIT = 4 << 30  # bytes of a file we are willing to read


class Artefact(NamedTuple):
    """What a file holds."""

    model: Forecaster
    parameters: Parameters
    state: State | None
    facts: dict[str, Any]


def save(
    path: Path,
    model: Forecaster,
    parameters: Parameters = (),
    state: State | None = None,
    facts: Mapping[str, Any] | None = None,
) -> str:
    """Write the file in one step (temporary file, fsync, rename, read back) and return its SHA-256."""
    content = encode(model, parameters, state, facts)
    _write(path, content)
    return hashlib.sha256(content).hexdigest()


def encode(
    model: Forecaster, parameters: Parameters = (), state: State | None = None, facts: Mapping[str, Any] | None = None
) -> bytes:
    """What `save` writes."""
    tensors: dict[str, Tensor] = {f"weights.{name}": tensor for name, tensor in model.state_dict().items()}
    description = {
        "format": FORMAT,
        "class": name_of(type(model)),
        "arguments": arguments(model),
        "parameters": _flatten(parameters, "parameters", tensors),
        "state": None if state is None else _flatten(state, "state", tensors),
        "facts": dict(facts or {}),
    }
    return _encode(tensors, description)


def load(path: Path) -> Artefact:
    """Read a file that `save` wrote; anything else is refused in one line."""
    try:
        if path.stat().st_size > LIMIT:
            raise InputError(f"{path}: larger than {LIMIT >> 30} GiB, not read")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({type(error).__name__}); check the path") from error
    return decode(content, str(path))


def decode(content: bytes, path: str) -> Artefact:
    """Read what `encode` made; `path` is where it came from, for the errors."""
    try:
        description = json.loads(_metadata(content)["forecast"])
        tensors = read_tensors(content)
        digest = description.pop("sha256")
        intact = digest == _digest(tensors, description) and _encode(tensors, description) == content
    except (SafetensorError, KeyError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"{path}: not a model file of ours, or a damaged one ({type(error).__name__}); train or save it again"
        ) from error
    if not intact:
        raise InputError(
            f"{path}: damaged (its digest does not match its content); use another copy, or train it again"
        )
    if description["format"] != FORMAT:
        raise InputError(
            f"{path}: written in format {description['format']}, this version reads {FORMAT}; use the version that wrote it"
        )
    kind = _ours(description["class"], Forecaster)
    model = kind(**{name: _plain(v) for name, v in description["arguments"].items()})
    model.load_state_dict(
        {name.removeprefix("weights."): t for name, t in tensors.items() if name.startswith("weights.")}
    )
    model.eval()
    state = None if description["state"] is None else _restore(description["state"], tensors)
    return Artefact(model, _restore(description["parameters"], tensors), state, description["facts"])


def header(monitor: Monitor) -> bytes:
    """All of a monitor but its sensors: the model with its weights, the detector's arguments, the shape of a record."""
    none = tree_map(lambda leaf: leaf[:0].clone(), monitor.machines)
    detector = {"class": name_of(type(monitor.detector)), "arguments": arguments(monitor.detector)}
    return encode(monitor.model, (), none, {"detector": detector})


def monitor_of(head: bytes, records: Sequence[bytes], path: str = "the header") -> Monitor:
    """The monitor of a header and of one record a sensor (`Monitor.records`)."""
    found = decode(head, path)
    plan = found.facts.get("detector")
    if not isinstance(plan, dict) or not isinstance(found.state, Machines):
        raise InputError(f"{path}: holds a model, not a monitor; make one with fc.Monitor(model, panel)")
    detector = _ours(plan["class"], Detector)(**{name: _plain(v) for name, v in plan["arguments"].items()})
    monitor = Monitor(found.model, detector, found.state)
    monitor.machines = monitor.machines_of(records)
    return monitor


def save_monitor(path: Path, monitor: Monitor) -> str:
    """One file: a first line of JSON with the lengths and the SHA-256 of the rest, the header, the records; its own SHA-256."""
    head, records = header(monitor), monitor.records()
    body = head + b"".join(records)
    first = {
        "monitor": FORMAT,
        "header": len(head),
        "sensors": len(records),
        "sha256": hashlib.sha256(body).hexdigest(),
    }
    content = json.dumps(first, sort_keys=True).encode() + b"\n" + body
    _write(path, content)
    return hashlib.sha256(content).hexdigest()


def load_monitor(path: Path) -> Monitor:
    """Read a file that `save_monitor` wrote; anything else is refused in one line."""
    try:
        line, _, body = path.read_bytes().partition(b"\n")
        first = json.loads(line)
        length, sensors = int(first["header"]), int(first["sensors"])
        intact = (
            first["sha256"] == hashlib.sha256(body).hexdigest() and json.dumps(first, sort_keys=True).encode() == line
        )
        intact = intact and first["monitor"] == FORMAT and length <= len(body)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path}: not a monitor file of ours ({type(error).__name__}); check the path") from error
    if not intact:
        raise InputError(f"{path}: damaged (its digest does not match its content); use another copy")
    rest = body[length:]
    size = len(rest) // max(sensors, 1)
    return monitor_of(body[:length], [rest[i * size : (i + 1) * size] for i in range(sensors)], str(path))


def arguments(model: Forecaster | Detector) -> dict[str, Any]:
    """The constructor's arguments: every parameter of the constructor is an attribute of the same name, in plain types."""
    names = [
        name for name in inspect.signature(type(model).__init__).parameters if name not in ("self", "args", "kwargs")
    ]
    return {name: getattr(model, name) for name in names}


def name_of(kind: type) -> str:
    """`forecast.models.naive:SeasonalNaive`."""
    return f"{kind.__module__}:{kind.__qualname__}"


def _write(path: Path, content: bytes) -> None:
    write_durably(path, content)
    if path.read_bytes() != content:
        raise InputError(f"{path}: what was written cannot be read back; is the disk full or failing?")


def _plain(value: Any) -> Any:
    """A constructor argument as JSON holds it: lists are tuples."""
    return tuple(value) if isinstance(value, list) else value


def _digest(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode())
    for name in sorted(tensors):
        digest.update(name.encode() + str(tensors[name].dtype).encode() + str(tuple(tensors[name].shape)).encode())
        digest.update(tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _encode(tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> bytes:
    plain = {name: tensor.detach().cpu().clone().contiguous() for name, tensor in tensors.items()}
    text = json.dumps({**description, "sha256": _digest(plain, description)}, sort_keys=True, allow_nan=False)
    return write_tensors(plain, metadata={"forecast": text})


def _metadata(content: bytes) -> dict[str, str]:
    length = int.from_bytes(content[:8], "little")
    if length > len(content) - 8:
        raise ValueError("header longer than the file")
    metadata = json.loads(content[8 : 8 + length])["__metadata__"]
    if set(metadata) != {"forecast"}:
        raise ValueError("foreign metadata")
    return metadata


def _flatten(tree: Any, name: str, tensors: dict[str, Tensor]) -> Any:
    """Put the leaves of a tree into `tensors` and return its plan; a leaf shared by all series is stored once."""
    if isinstance(tree, Tensor):
        shared = tree.dim() > 0 and tree.shape[0] > 1 and tree.stride(0) == 0
        tensors[name] = tree[:1] if shared else tree
        return {"leaf": name, "expand": tree.shape[0] if shared else 0}
    fields = getattr(tree, "_fields", None) or [str(i) for i in range(len(tree))]
    parts = {field: _flatten(part, f"{name}.{field}", tensors) for field, part in zip(fields, tree, strict=True)}
    return {
        "class": name_of(type(tree)) if hasattr(tree, "_fields") else "tuple",
        "order": list(fields),
        "parts": parts,
    }


def _restore(plan: Any, tensors: Mapping[str, Tensor]) -> Any:
    if "leaf" in plan:
        leaf = tensors[plan["leaf"]]
        return leaf.expand(plan["expand"], *leaf.shape[1:]) if plan["expand"] else leaf
    parts = [_restore(plan["parts"][field], tensors) for field in plan["order"]]
    if plan["class"] == "tuple":
        return tuple(parts)
    kind = _ours(plan["class"], tuple)
    if list(getattr(kind, "_fields", ())) != plan["order"]:
        raise InputError(
            f"{plan['class']} is not a state with the fields {plan['order']}; train the model again with this version"
        )
    return kind(*parts)


def _ours(name: str, contract: type) -> type[Any]:
    """The class `forecast.<module>:<Class>` that one of our files defines itself, a subclass of `contract`."""
    try:
        return classes.find(name.replace(":", "."), contract)
    except InputError as error:
        raise InputError(f"refused: {name!r} is not a {contract.__name__} of ours") from error
