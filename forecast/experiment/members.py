"""The registry of members: the words of conf/model/, their classes and parameters, read without importing anything
heavy.

A word is a file of conf/model/. It carries `class`, and of the parameters only what differs from the constructor's
signature. Parameters called season, seasons, horizon, channels, inputs or static are filled in from the panel and the
verb when the member is built, unless the user sets them.

    member("ridge", {"context": 720}).build(horizon=24, facts=facts_of(panel)) -> Forecaster
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from forecast import classes
from forecast.classes import Parameter
from forecast.errors import InputError, unknown
from forecast.experiment.checks import convert, known_keys, read_yaml

if TYPE_CHECKING:
    from forecast.models.forecaster import Forecaster
    from forecast.series.panel import Panel

CONF = next(
    p for p in (classes.PACKAGE / "conf", classes.PACKAGE.parent / "conf") if p.is_dir()
)  # in a wheel, in a checkout
RESERVED = ("name", "class", "member")  # what a model file holds beside parameters


class Facts(NamedTuple):
    """What a panel fills in: the constructor parameters of the same names that the user leaves alone."""

    season: int
    seasons: tuple[int, ...]
    channels: int
    inputs: int
    static: int


FILLED = (*Facts._fields, "horizon")


def facts_of(panel: "Panel") -> Facts:
    """The facts of a panel."""
    return Facts(panel.season, panel.seasons, len(panel.channels), len(panel.known.names), len(panel.static_names))


@dataclass(frozen=True)
class Member:
    """One model of an experiment: the word it is called by, its class and the constructor parameters."""

    label: str  # unique in a list of models: the word, and where a word occurs twice what differs
    word: str
    path: str  # forecast.models.<file>.<Class>, always one of conf/model/
    parameters: dict[str, Any]  # complete, but for those that the panel and the verb fill in

    def build(self, *, horizon: int, facts: Facts) -> "Forecaster":
        """The forecaster, for this horizon and a panel of these facts."""
        from forecast.models.forecaster import Forecaster

        filled = facts._asdict() | {"horizon": horizon}
        missing = [name for name in classes.parameters(self.path) if name in FILLED and name not in self.parameters]
        model: Forecaster = classes.find(self.path, Forecaster)(
            **self.parameters, **{name: filled[name] for name in missing}
        )
        return model

    def plain(self) -> dict[str, Any]:
        """The member as a configuration holds it, complete: what is filled in later is null."""
        filled = {name: self.parameters.get(name) for name in classes.parameters(self.path)}
        return {"name": self.word, "class": self.path, **filled}


@cache
def words() -> tuple[str, ...]:
    """The words of conf/model/."""
    return tuple(sorted(file.stem for file in (CONF / "model").glob("*.yaml")))


@cache
def entry(word: str) -> dict[str, Any]:
    """The file of a word."""
    if word not in words():
        raise unknown("model", word, words())
    content = read_yaml(CONF / "model" / f"{word}.yaml")
    if not isinstance(content.get("class"), str):
        raise InputError(f"conf/model/{word}.yaml: has no class")
    return content


@cache
def members() -> tuple[str, ...]:
    """The words that are members in their own right, and not a variant of one in numbers alone."""
    return tuple(word for word in words() if entry(word).get("member", True))


@cache
def parameters(word: str) -> dict[str, Parameter]:
    """The parameters of a word: type, default (its file's, else the signature's; None: filled in later) and help."""
    return _parameters(
        entry(word)["class"], {k: v for k, v in entry(word).items() if k not in RESERVED}, f"conf/model/{word}.yaml: "
    )


def _parameters(path: str, settings: Mapping[str, Any], where: str) -> dict[str, Parameter]:
    signature = classes.parameters(path)
    known_keys(settings, signature, where)
    found = {}
    for name, (kind, default, text) in signature.items():
        kind = kind | None if name in FILLED else kind
        default = None if name in FILLED else default
        found[name] = Parameter(
            kind, convert(settings[name], kind, where + name) if name in settings else default, text
        )
    return found


def member(model: str | Mapping[str, Any], overrides: Mapping[str, Any] | None = None, where: str = "model.") -> Member:
    """A member from its word, or from a mapping with a `name` and parameters; `overrides` win over both.

    A mapping may carry the class too, as saved configurations do; it has to be one that conf/model/ knows.
    """
    given = {"name": model} if isinstance(model, str) else dict(model)
    word, path = given.get("name"), given.get("class")
    if not isinstance(word, str):
        raise InputError(f"{where.rstrip('.')}: a model is a word, or {{name: WORD, parameter: value}}; got {model!r}")
    if path is None:
        path, defaults = entry(word)["class"], parameters(word)
    elif path not in {entry(known)["class"] for known in words()}:
        raise InputError(
            f"{where}class: {path!r} is not a class of conf/model/; choose a model by its word: {', '.join(words())}"
        )
    else:
        defaults = _parameters(path, {}, where)
    settings = {k: v for k, v in given.items() if k not in RESERVED} | dict(overrides or {})
    known_keys(settings, defaults, where)
    values = {
        name: convert(settings[name], kind, where + name) if name in settings else default
        for name, (kind, default, _) in defaults.items()
    }
    for name, value in values.items():
        if value is ...:
            raise InputError(f"{where}{name}: has no default; set it")
    return Member(word, word, path, {n: v for n, v in values.items() if not (n in FILLED and v is None)})


def labelled(models: list[Member]) -> tuple[Member, ...]:
    """The members with labels that tell them apart: `ridge` and `ridge(context=720)`."""
    seen: dict[str, Member] = {}
    for one in models:
        same = [other for other in models if other.word == one.word]
        if len(same) > 1:
            usual = {name: parameter.default for name, parameter in _parameters(one.path, {}, "").items()}
            differing = {
                n: v for n, v in one.parameters.items() if v != usual[n] and any(v != o.parameters.get(n) for o in same)
            }
            if differing:
                one = replace(one, label=f"{one.word}({', '.join(f'{n}={v}' for n, v in differing.items())})")
        if one.label in seen:
            raise InputError(f"models: {one.label!r} is listed twice with the same parameters; leave one out")
        seen[one.label] = one
    return tuple(seen.values())
