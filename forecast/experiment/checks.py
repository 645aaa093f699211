"""What a configuration may hold: values of the type that is asked for, no classes, no secrets on disk.

A configuration is plain (dict, list, str, int, float, bool, None) wherever it comes from; `convert` turns a value into
what the type says or refuses it in one line that names the key. YAML is read without tags and without aliases.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

import yaml

from forecast.errors import InputError, unknown

SECRET = re.compile(r"token|password|secret|key", re.IGNORECASE)
USERINFO = re.compile(r"(?<=://)[^/@\s]+(?=@)")
REDACTED = "***"
LIMIT = 1 << 20  # bytes of a YAML file
WORDS: dict[Any, str] = {
    int: "an integer",
    float: "a number",
    str: "text",
    bool: "true or false",
    NoneType: "null",
    dict: "keys with values",
}


class Strict(yaml.SafeLoader):  # type: ignore[misc]  # yaml says nothing about its types
    """Plain YAML: no tags of its own, and no aliases, which a short file can grow to gigabytes."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        """A node, unless it is an alias."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.composer.ComposerError(
                None, None, "an alias (*name) is not allowed", self.peek_event().start_mark
            )
        return super().compose_node(parent, index)


def read_yaml(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file; anything else there is an error with its line."""
    try:
        if file.stat().st_size > LIMIT:
            raise InputError(f"{file}: larger than {LIMIT >> 20} MiB, too large for a configuration")
        content = yaml.load(file.read_text(encoding="utf-8"), Strict)  # Strict is a SafeLoader
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{file}:{mark.line + 1}" if mark else str(file)
        raise InputError(f"{where}: {getattr(error, 'problem', None) or 'not YAML'}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{file}: cannot be read ({getattr(error, 'strerror', None) or 'not UTF-8 text'})") from error
    if not isinstance(content or {}, dict):
        raise InputError(f"{file}: expected keys with values")
    refuse_targets(content or {}, str(file))
    return content or {}


def refuse_targets(node: Any, where: str, key: str = "") -> None:
    """No configuration may name what to call: Hydra's `_target_` and its relatives are refused anywhere in it."""
    if isinstance(node, Mapping):
        for name, value in node.items():
            inner = f"{key}.{name}".lstrip(".")
            if "_target_" in str(name):
                raise InputError(f"{where}: {inner!r} is not allowed; name a member by its word, as in model=ridge")
            refuse_targets(value, where, inner)
    elif isinstance(node, (list, tuple)):
        for value in node:
            refuse_targets(value, where, key)


def redact(node: Any, key: str = "") -> Any:
    """The same configuration without its secrets: text under a key that sounds so, and who logs in to an address."""
    if isinstance(node, dict):
        return {name: redact(value, str(name)) for name, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [redact(value, key) for value in node]
    if isinstance(node, str) and node:
        return REDACTED if SECRET.search(key) else USERINFO.sub(REDACTED, node)
    return node


def known_keys(node: Mapping[str, Any], names: Iterable[str], where: str) -> None:
    """Every key of `node` is one of `names`; `where` is what stands before them, as in `model.`"""
    names = list(names)
    for key in map(str, node):
        if key not in names:
            near = difflib.get_close_matches(key, names, n=1)
            if near:
                raise unknown("key", where + key, [where + near[0]])
            raise InputError(f"unknown key {where + key!r}; choose from {', '.join(where + n for n in sorted(names))}")


def convert(value: Any, kind: Any, key: str) -> Any:
    """`value` as `kind`: a number is no text and text no number, but 3 is a fine 3.0 and `x` a fine list of one."""
    origin, inner = get_origin(kind), get_args(kind)
    if kind is Any or (dict in (kind, origin) and isinstance(value, dict)):
        return value
    if origin in (Union, UnionType):
        return _first(value, inner, kind, key)
    if origin is Literal:
        chosen = [choice for choice in inner if str(choice) == str(value) and not isinstance(value, bool)]
        if chosen:
            return chosen[0]
        raise unknown(key, str(value), map(str, inner))
    if origin is tuple:
        return _sequence(value, inner, kind, key)
    if kind is Path and isinstance(value, str):
        return Path(value)
    if kind is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        return str(value)
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(kind, type) and isinstance(value, kind) and (kind is bool or not isinstance(value, bool)):
        return value
    raise _mismatch(value, kind, key)


def _first(value: Any, kinds: tuple[Any, ...], whole: Any, key: str) -> Any:
    """The first kind of a union that takes the value; one that it already is goes first."""
    if value is None and NoneType in kinds:
        return None
    choices = [kind for kind in kinds if kind is not NoneType]
    if len(choices) == 1 and get_origin(choices[0]) is Literal:
        return convert(value, choices[0], key)
    for kind in sorted(choices, key=lambda kind: type(value) is not kind):
        try:
            return convert(value, kind, key)
        except InputError:
            continue
    raise _mismatch(value, whole, key)


def _sequence(value: Any, kinds: tuple[Any, ...], whole: Any, key: str) -> tuple[Any, ...]:
    items = list(value) if isinstance(value, (list, tuple)) else [value]
    if len(kinds) == 2 and kinds[1] is ...:
        return tuple(convert(item, kinds[0], key) for item in items)
    if len(items) != len(kinds):
        raise _mismatch(value, whole, key)
    return tuple(convert(item, kind, key) for item, kind in zip(items, kinds, strict=True))


def _mismatch(value: Any, kind: Any, key: str) -> InputError:
    given = "null" if value is None else str(value).lower() if isinstance(value, bool) else repr(value)
    return InputError(f"{key}: expected {describe(kind)}, got {given}")


def describe(kind: Any) -> str:
    """A type in words: `an integer or null`, `one of cpu, gpu`, `a list, each text`."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(describe(part) for part in inner)
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        same = len(inner) == 2 and inner[1] is ...
        return f"a list, each {describe(inner[0])}" if same else f"a list of {len(inner)} values"
    return WORDS.get(origin or kind, "text" if kind is Path else getattr(kind, "__name__", str(kind)))
