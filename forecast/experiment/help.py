"""Help read from the files themselves: conf/ for keys, defaults and comments, signatures for what belongs to data and
models.

Nothing but the standard library and a YAML reader is imported: `forecast --help` costs a fraction of a second.
"""

import difflib
import re
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType, NoneType, UnionType
from typing import Any, Literal, TypeAlias, Union, get_args, get_origin

from forecast import classes
from forecast.experiment import members
from forecast.experiment.checks import describe, read_yaml
from forecast.experiment.config import VERBS, kinds, read_options
from forecast.experiment.members import CONF, FILLED

FLAGS = """flags: --help, --version, --debug (show tracebacks), -m (one run for each combination of a=1,2 b=x,y),
       --config-dir FOLDER (your own data/NAME.yaml, model/NAME.yaml, experiment/NAME.yaml …)"""
EXAMPLES = """examples:
  forecast validate data.path=my.csv
  forecast compare data.path=my.csv horizon=24 'models=[seasonal_naive,ets,{name: ridge, context: 720}]'
  forecast train data.path=my.csv model=ridge model.context=720
  forecast predict run=latest"""
COMMENT = re.compile(r"^([a-z_]+):.*?  # (.*)$", re.MULTILINE)
RUN = re.compile(r"^def run\(", re.MULTILINE)
Found: TypeAlias = dict[str, tuple[Any, str]]  # key → default, help


def about(file: Path) -> str:
    """The first comment of a file of conf/."""
    return file.read_text(encoding="utf-8").partition("\n")[0].removeprefix("#").strip()


@cache
def verbs() -> tuple[str, ...]:
    """The verbs: a root file in conf/ and a module with a `run` that does the work."""
    here = Path(__file__).parent
    places = {
        verb: (here / f"{verb}.py", here / verb / "__init__.py", here.parent / verb / "verb.py") for verb in VERBS
    }
    works = {verb: any(f.is_file() and RUN.search(f.read_text()) for f in files) for verb, files in places.items()}
    return tuple(verb for verb in VERBS if works[verb] and (CONF / f"{verb}.yaml").is_file())


def overview() -> str:
    """forecast --help"""
    width = max(map(len, verbs()))
    lines = [f"  {verb:{width}}  {about(CONF / f'{verb}.yaml')}" for verb in verbs()]
    usage = "usage: forecast VERB [key=value …]      forecast VERB --help shows every key with its default"
    completion = 'completion: eval "$(forecast completion)" in ~/.bashrc, or in ~/.zshrc after bashcompinit'
    return "\n".join([usage, "", *lines, "", EXAMPLES, "", FLAGS, completion])


def of(verb: str, chosen: Mapping[str, str] = MappingProxyType({})) -> str:
    """forecast VERB --help: every key with its default, those of the model too."""
    found = keys(verb, chosen)
    lines = [f"  {f'{name} = {shown(value)}':44}  {text}".rstrip() for name, (value, text) in found.items()]
    groups = [f"{group}: {', '.join(words)}" for group, words in choices(found).items()]
    return "\n".join([f"forecast {verb}: {about(CONF / f'{verb}.yaml')}", "", *lines, "", *groups, FLAGS])


def choices(found: Iterable[str]) -> dict[str, list[str]]:
    """Of the groups among these keys the words to choose from."""
    folders = {name: CONF / {"models": "model", "sinks": "sink"}.get(name, name) for name in found}
    return {
        name: sorted(f.stem for f in folder.glob("*.yaml"))
        for name, folder in folders.items()
        if folder.is_dir() and name != "data"
    }


def keys(verb: str, chosen: Mapping[str, str]) -> Found:
    """Every key of a verb with default and help, the files of its groups as `chosen` names them; single keys first."""
    found = _file(CONF / f"{verb}.yaml", chosen)
    found.pop("experiment", None)
    known = types(verb, chosen)
    named = {name: (default, _with_type(text, known.get(name, str))) for name, (default, text) in found.items()}
    return dict(sorted(named.items(), key=lambda item: "." in item[0]))


def types(verb: str, chosen: Mapping[str, str]) -> dict[str, Any]:
    """The types of the keys of a verb, those of the chosen model too."""
    known = kinds(VERBS[verb])
    word = chosen.get("model") or next((w for g, w in _defaults(verb) if g == "model"), None)
    own = members.parameters(word) if "model" in known and word in members.words() else {}
    return known | {f"model.{name}": parameter.type for name, parameter in own.items()}


def _defaults(verb: str) -> list[tuple[str, str]]:
    parents = read_yaml(CONF / f"{verb}.yaml").get("defaults", [])
    return [pair for parent in parents if isinstance(parent, dict) for pair in parent.items()]


def _with_type(text: str, kind: Any) -> str:
    """The help of a key; its type where that says more."""
    few = [part for part in (kind, *get_args(kind)) if get_origin(part) is Literal]
    return f"{text} ({describe(few[0])})" if text and few else text or describe(kind)


def values(verb: str, key: str, chosen: Mapping[str, str]) -> list[str]:
    """The values of a key whose type has only a few."""
    kind = types(verb, chosen).get(key)
    parts = get_args(kind) if get_origin(kind) in (Union, UnionType) else (kind,)
    few = [
        word
        for part in parts
        for word in (get_args(part) if get_origin(part) is Literal else [True, False] if part is bool else [])
    ]
    return [shown(word) for word in few] + (["null"] if few and NoneType in parts else [])


def _file(file: Path, chosen: Mapping[str, str], where: str = "") -> Found:
    """Keys of a file of conf/, those of the files it builds on first."""
    content = read_yaml(file)
    found: Found = {}
    for parent in content.pop("defaults", []):
        if isinstance(parent, dict):
            for group, word in parent.items():
                found |= _group(group, chosen.get(group, word), chosen)
        elif parent != "_self_":
            found |= _file(file.with_stem(parent), chosen, where)
    texts = dict(COMMENT.findall(file.read_text(encoding="utf-8")))
    for name, value in content.items():
        inner = (
            {f"{name}.{key}": part for key, part in value.items()}
            if isinstance(value, dict) and value
            else {name: value}
        )
        found |= {
            where + key: (part, texts.get(key) or found.get(where + key, ("", ""))[1]) for key, part in inner.items()
        }
    return found


def _group(group: str, word: str | None, chosen: Mapping[str, str]) -> Found:
    named: Found = {} if group in ("data", "tracking", "trainer") else {group: (word, "a word")}
    if group == "model" and word in members.words():
        for name, (_, default, text) in members.parameters(word).items():
            named[f"model.{name}"] = (default, text or ("null: as the data says" if name in FILLED else ""))
    elif (file := CONF / group / f"{word}.yaml").is_file():
        named |= _signed(file, group) if "class" in read_yaml(file) else _file(file, chosen, f"{group}.")
    if group == "data":
        named |= {f"data.{name}": (p.default, p.help) for name, p in read_options().items()}
    return named


def _signed(file: Path, group: str) -> Found:
    """The parameters of the class that a file names: its defaults, else those of the signature."""
    content = read_yaml(file)
    own = classes.parameters(content["class"])
    usual = {name: None if p.default is ... else p.default for name, p in own.items()}
    return {f"{group}.{name}": (content.get(name, usual[name]), p.help or describe(p.type)) for name, p in own.items()}


def shown(value: Any) -> str:
    """A default as it would be typed."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, (list, tuple)):
        return f"[{','.join(shown(item) for item in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value) or "''"


def suggestion(verb: str) -> str | None:
    """The verb that was probably meant."""
    return next(iter(difflib.get_close_matches(verb, verbs(), n=1)), None)
