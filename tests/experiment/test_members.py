"""The registry against the classes themselves: what is read from the source is what an import would have said."""

import inspect
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, get_type_hints

import pytest

from forecast import classes
from forecast.errors import InputError
from forecast.experiment import members
from forecast.experiment.members import FILLED, RESERVED, Facts, entry, labelled, member, parameters, words
from forecast.models.forecaster import Forecaster

FACTS = Facts(season=4, seasons=(4, 12), channels=2, inputs=1, static=0)
every_word = pytest.mark.parametrize("word", words())


@every_word
def test_signature_read_from_source_is_the_real_one(word: str) -> None:
    path = entry(word)["class"]
    kind = classes.find(path, Forecaster)
    real = [p for p in inspect.signature(kind).parameters.values()]
    hints = get_type_hints(kind.__init__)
    read = classes.parameters(path)
    assert list(read) == [p.name for p in real]
    for parameter in real:
        assert read[parameter.name].type == hints[parameter.name], parameter.name
        assert read[parameter.name].default == (... if parameter.default is parameter.empty else parameter.default)


@every_word
def test_file_says_only_what_differs_from_the_signature(word: str) -> None:
    settings = {name: value for name, value in entry(word).items() if name not in RESERVED}
    read = classes.parameters(entry(word)["class"])
    assert [name for name, value in settings.items() if parameters(word)[name].default == read[name].default] == []


@every_word
def test_every_word_builds_and_takes_the_facts_it_asks_for(word: str) -> None:
    model = member(word).build(horizon=3, facts=FACTS)
    assert isinstance(model, Forecaster)


@every_word
def test_saved_form_gives_the_same_member(word: str) -> None:
    one = member(word)
    assert member(one.plain()) == one
    assert {"name", "class", *parameters(word)} == set(one.plain())


def test_facts_yield_to_what_the_user_sets() -> None:
    chosen = member("seasonal_naive", {"season": 7})
    assert chosen.parameters == {"season": 7}
    assert chosen.build(horizon=3, facts=FACTS).season == 7
    assert member("seasonal_naive").build(horizon=3, facts=FACTS).season == FACTS.season
    assert set(FILLED) == {*Facts._fields, "horizon"}


def test_a_word_listed_twice_is_told_apart_by_what_differs() -> None:
    three = [member("window_average", {"window": window}) for window in (None, 3, 7)]
    assert [one.label for one in labelled(three)] == [
        "window_average",
        "window_average(window=3)",
        "window_average(window=7)",
    ]
    assert [one.label for one in labelled([member("naive"), member("drift")])] == ["naive", "drift"]
    with pytest.raises(InputError, match="'naive' is listed twice"):
        labelled([member("naive"), member("naive")])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ("seasonal_nave", "unknown model 'seasonal_nave'; did you mean 'seasonal_naive'?"),
        ({"name": "window_average", "windw": 3}, "unknown key 'model.windw'; did you mean 'model.window'?"),
        ({"name": "window_average", "window": "x"}, "model.window: expected an integer or null, got 'x'"),
        ({"name": "window_average", "window": True}, "model.window: expected an integer or null, got true"),
        ({"window": 3}, "model: a model is a word, or {name: WORD, parameter: value}; got {'window': 3}"),
        ({"name": "naive", "class": "forecast.x.os.mkdir"}, "is not a class of conf/model/"),
        ({"name": "naive", "class": "forecast.experiment.members.Member"}, "is not a class of conf/model/"),
    ],
)
def test_what_is_wrong_is_said(model: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        member(model)
    assert message in str(error.value)


@pytest.mark.parametrize(
    "path",
    [
        "os.mkdir",
        "forecast.x.os.mkdir",
        "forecast.artefact.os.mkdir",
        "forecast.artefact.Path",  # imported there, not defined there
        "forecast.models.naive.torch.nn.Linear",
        "forecast.models.naive.Forecaster",
        "forecast.models..naive.Naive",
        "forecast/models/naive.Naive",
        "forecast.models.naive.follow",  # defined there, but no class
        "forecast.models.naive",
        "forecast.__main__.Command",
        "forecast.Naive\n",
        "",
    ],
)
def test_a_path_through_imports_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="is not defined in forecast"):
        classes.find(path, Forecaster)


def test_a_class_of_ours_that_is_no_forecaster_is_refused() -> None:
    with pytest.raises(InputError, match="is not a Forecaster"):
        classes.find("forecast.experiment.members.Facts", Forecaster)


def test_refused_before_anything_is_imported(tmp_path: Path) -> None:
    """A model file of ours with a foreign class, a `_target_` or a tag of YAML's imports nothing and runs nothing."""
    canary = tmp_path / "canary"
    code = f"""
    import sys
    from pathlib import Path
    from forecast import classes
    from forecast.errors import InputError
    from forecast.experiment import members
    members.CONF = Path({str(tmp_path)!r})
    before = set(sys.modules)
    for word in members.words():
        try:
            members.member(word)
        except InputError as error:
            print(word, error)
        else:
            sys.exit(f"{{word}} was accepted")
    sys.exit(sorted(set(sys.modules) - before))
    """
    bad = {
        "walk": "class: forecast.artefact.os.mkdir",
        "foreign": "class: subprocess.Popen",
        "target": f"class: forecast.models.naive.Naive\n_target_: os.mkdir\npath: {canary}",
        "nested": f"class: forecast.models.naive.Naive\nchannels: {{_target_: os.mkdir, path: {canary}}}",
        "tag": f"class: !!python/object/apply:os.mkdir [{canary}]",
        "bomb": "class: forecast.models.naive.Naive\na: &a [x, x]\nb: &b [*a, *a]\nchannels: [*b, *b]",
        "none": "channels: 3",
    }
    (tmp_path / "model").mkdir()
    for word, content in bad.items():
        (tmp_path / "model" / f"{word}.yaml").write_text(content)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env={**os.environ}
    )
    assert done.stderr.strip() == "[]", done.stderr
    assert len(done.stdout.splitlines()) == len(bad)
    assert not canary.exists()


def test_parameters_of_many_kinds_are_read_from_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = """
    from typing import Literal, TypeAlias
    from forecast.other import Kind as Sort

    LEVELS = (0.1, 0.9)
    Word: TypeAlias = Literal["a", "b"]

    class Base:
        def __init__(
            self,
            width: int = 64,  # channels of a layer
            *,
            rate: float | None = (
                None  # of learning
            ),
            words: tuple[str, ...] = ("x",),
            kind: Word = "a",
            sort: Sort = "c",
            levels: "tuple[float, ...]" = LEVELS,
            needed: bool,
        ) -> None: ...

    class Child(Base):
        pass

    class Odd:
        def __init__(self, size: int = len("abc")) -> None: ...
    """
    (tmp_path / "one.py").write_text(textwrap.dedent(source))
    (tmp_path / "other.py").write_text('from typing import Literal\nKind = Literal["c"]\n')
    monkeypatch.setattr(classes, "PACKAGE", tmp_path)
    classes._module.cache_clear()
    read = classes.parameters("forecast.one.Child")
    classes._module.cache_clear()
    assert {name: p.default for name, p in read.items()} == {
        "width": 64, "rate": None, "words": ("x",), "kind": "a", "sort": "c", "levels": (0.1, 0.9), "needed": ...,
    }  # fmt: skip
    assert [str(p.type) for p in read.values()] == [
        "<class 'int'>", "typing.Optional[float]", "tuple[str, ...]", "typing.Literal['a', 'b']", "typing.Literal['c']",
        "tuple[float, ...]", "<class 'bool'>",
    ]  # fmt: skip
    assert (read["width"].help, read["rate"].help, read["kind"].help) == ("channels of a layer", "of learning", "")
    monkeypatch.setattr(classes, "PACKAGE", tmp_path)
    with pytest.raises(InputError, match=r"forecast.one, line 27: cannot read this parameter without importing it"):
        classes.parameters("forecast.one.Odd")
    classes._module.cache_clear()


def test_members_are_the_words_without_variants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "naive.yaml").write_text("class: forecast.models.naive.Naive\n")
    (tmp_path / "model" / "wide.yaml").write_text("class: forecast.models.naive.Naive\nmember: false\nchannels: 3\n")
    monkeypatch.setattr(members, "CONF", tmp_path)
    for cached in (members.words, members.entry, members.members, members.parameters):
        cached.cache_clear()
    try:
        assert (members.words(), members.members()) == (("naive", "wide"), ("naive",))
        assert member("wide").parameters == {"channels": 3}
    finally:
        for cached in (members.words, members.entry, members.members, members.parameters):
            cached.cache_clear()
