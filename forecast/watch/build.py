"""Sources, sinks and settings by their words: conf/<group>/<word>.yaml names the class, its signature the keys.

    build("source", {"name": "stdin", "journal": "rows.log"}) -> Source
Secrets are read from the environment alone: an option that ends in `_variable` holds the name of a variable, never its value.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from forecast import classes
from forecast.errors import InputError, unknown
from forecast.experiment.checks import convert, known_keys, read_yaml
from forecast.experiment.members import CONF, RESERVED
from forecast.watch.sinks.sink import Sink
from forecast.watch.sources.source import Source

CONTRACTS: dict[str, type[Any]] = {"source": Source, "sink": Sink}


@cache
def words(group: str) -> tuple[str, ...]:
    """The words of a group."""
    return tuple(sorted(file.stem for file in (CONF / group).glob("*.yaml")))


def build(group: str, given: str | Mapping[str, Any]) -> Any:
    """The source or the sink of a word, or of a mapping with a `name` and parameters."""
    asked = {"name": given} if isinstance(given, str) else dict(given)
    word = asked.get("name")
    if word not in words(group):
        raise unknown(group, str(word), words(group))
    file = read_yaml(CONF / group / f"{word}.yaml")
    path = file["class"]
    if asked.get("class", path) != path:
        raise InputError(f"{group}.class: {word!r} is {path}; choose one of {', '.join(words(group))}")
    settings = {key: value for key, value in (file | asked).items() if key not in RESERVED}
    own = values(path, settings, f"{group}.")
    try:
        found = classes.find(path, CONTRACTS[group])
    except ModuleNotFoundError as error:
        raise InputError(f"{group}={word} needs the package {error.name}; pip install 'forecast[stream]'") from error
    return found(**own)


def of_bucket(given: str | Mapping[str, Any], bucket: int) -> Mapping[str, Any]:
    """A sink for one bucket of sensors: what it writes to a path goes to one of its own, alerts-b03.jsonl; and so do pages."""
    own = {"name": given} if isinstance(given, str) else dict(given)
    word = str(own.get("name"))
    if word == "prometheus":
        first = own.get("port", classes.parameters("forecast.watch.sinks.prometheus.Prometheus")["port"].default)
        return own | {"port": first + bucket if first else 0}
    path = own.get("path") or (read_yaml(CONF / "sink" / f"{word}.yaml").get("path") if word in words("sink") else None)
    if path is None:
        return own
    return own | {"path": str(Path(path).with_stem(f"{Path(path).stem}-b{bucket:02d}"))}


def values(path: str, settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """Settings as the class at `path` takes them: known keys, values of their types, nothing missing."""
    signature = classes.parameters(path)
    known_keys(settings, signature, where)
    for name, parameter in signature.items():
        if parameter.default is ... and settings.get(name) is None:
            raise InputError(f"{where}{name} is missing: {parameter.help or 'it has no default'}; pass {where}{name}=…")
    return {name: convert(value, signature[name].type, where + name) for name, value in settings.items()}
