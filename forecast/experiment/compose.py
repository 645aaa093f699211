"""From what is typed to checked configurations, composed by Hydra from conf/ and the user's own folder.

Nothing of a configuration is ever called: no `instantiate`, `_target_` is refused, classes come from our own files by
their word. A variable of the environment (`${oc.env:…}`) is refused too, for its value would be saved with the run and
tracked.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import hydra
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from omegaconf.resolvers import oc

from forecast.errors import InputError, unknown
from forecast.experiment import overrides
from forecast.experiment.checks import read_yaml, refuse_targets
from forecast.experiment.config import VERBS, complete, kinds, load
from forecast.experiment.members import CONF, words
from forecast.experiment.overrides import Word

NAMED = ("model", "benchmark", "detector", "source")  # groups whose chosen word is kept as `name`
Node = dict[str, Any]


def read(verb: str, typed: Sequence[str], overlay: Path | None, sweeping: bool) -> list[tuple[list[str], Any]]:
    """The runs that are asked for: what sets each apart, and its configuration."""
    overlay = None if overlay is None else _checked(overlay)
    known = kinds(VERBS[verb])
    given = [overrides.split(word) for word in typed]
    for word in given:
        if word.key.partition(".")[0] not in {*(key.partition(".")[0] for key in known), "experiment"}:
            raise unknown("key", word.key, known)
    runs = overrides.jobs([overrides.quoted(word, known.get(word.key), sweeping) for word in given], sweeping)
    with _hydra() as compose:
        return [
            ([word.override for word in run], complete(VERBS[verb], _compose(compose, verb, run, overlay)))
            for run in runs
        ]


def resumed(folder: Path, verb: str, typed: Sequence[str]) -> Any:
    """The configuration of an earlier run, with the single keys that are typed beside `resume=`."""
    given = [overrides.split(word) for word in typed]
    file = folder / "config.yaml"
    known = kinds(VERBS[verb])
    if read_yaml(file).get("verb") != verb:
        raise InputError(f"resume={folder}: not a run of {verb}")
    ready = [overrides.quoted(word, known.get(word.key), sweeping=False) for word in given]
    overrides.jobs(ready, sweeping=False)  # refuses what cannot be read
    return load(file, {word.key: overrides.value(word) for word in ready})


def _checked(overlay: Path) -> Path:
    """The user's folder, once every file in it is known to be plain and to be of use."""
    if not overlay.is_dir():
        raise InputError(f"--config-dir {overlay}: no such folder")
    ours = overrides.groups(None)
    for file in sorted(overlay.rglob("*.yaml")):
        group = file.parent.relative_to(overlay).as_posix()
        if group == ".":
            raise InputError(f"{file}: belongs into {overlay}/experiment/, with `# @package _global_` at its top")
        if group not in overrides.GROUPS:
            raise unknown("folder", group, overrides.GROUPS)
        if file.stem in ours.get(group, ()):
            raise InputError(f"{file}: {file.stem!r} is one of our own words for {group}; choose another name")
        read_yaml(file)
    return overlay.resolve()


@contextmanager
def _hydra() -> Iterator[Callable[..., Any]]:
    """Hydra's compose, with its errors in one line and the environment out of reach."""

    def refuse(name: str, *_: Any) -> NoReturn:
        raise InputError(f"${{oc.env:{name}}} would be saved with the run; give the value itself")

    OmegaConf.register_new_resolver("oc.env", refuse, replace=True)
    try:
        with hydra.initialize_config_dir(version_base="1.3", config_dir=str(CONF)):
            yield hydra.compose
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException | None = error
        while cause is not None and not isinstance(cause, InputError):
            cause = cause.__cause__ or cause.__context__
        where = getattr(error, "full_key", None)
        line = (f"{where}: " if where else "") + " ".join(str(error).partition("\n")[0].split())
        raise (cause or InputError(line)) from error
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def _compose(compose: Callable[..., Any], verb: str, run: list[Word], overlay: Path | None) -> Node:
    """The plain, resolved configuration of one run."""
    choices = overrides.groups(overlay)
    search = [] if overlay is None else [f"hydra.searchpath=['file://{overlay}']"]
    composed = compose(verb, [*(overrides.line(word, choices) for word in run), *search], return_hydra_config=True)
    groups = composed.hydra.runtime.choices
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    raw = OmegaConf.to_container(composed, resolve=False)
    refuse_targets(raw, "the configuration")
    node: Node = dict(OmegaConf.to_container(composed, resolve=True))  # type: ignore[arg-type]
    for group in NAMED:
        if isinstance(node.get(group), dict):
            node[group] = _from_group(group, str(groups.get(group)), node[group])
    if node.get("models") is not None:
        listed = node["models"] if isinstance(node["models"], list) else [node["models"]]
        node["models"] = [_from_overlay(compose, item, choices.get("model", []), search) for item in listed]
    return node


def _from_group(group: str, word: str, node: Node) -> Node:
    if group == "model" and "class" not in node:
        raise InputError(f"model={word}: its file builds on no model of ours; begin it with `defaults: [WORD, _self_]`")
    return {**node, "name": word}


def _from_overlay(compose: Callable[..., Any], item: Any, known: list[str], search: list[str]) -> Any:
    """An item of a list of models; where its word is the user's own file, with what that file says."""
    word = item.get("name") if isinstance(item, dict) else item
    if word in words() or word not in known:
        return item
    node: Any = OmegaConf.to_container(compose(None, [f"+model={word}", *search]).model, resolve=True)
    return _from_group("model", str(word), node) | (item if isinstance(item, dict) else {})
