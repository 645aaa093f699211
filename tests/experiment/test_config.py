"""Composition: what is typed, what the files say, and what comes out complete, checked and without secrets."""

import dataclasses
import os
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, Literal

import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra

from forecast.errors import InputError
from forecast.experiment import compose, config, help, overrides
from forecast.experiment.checks import convert, describe, read_yaml, redact
from forecast.experiment.config import VERBS, Compare, Train, Trainer, kinds, load, logged, plain, read_options, save
from forecast.experiment.members import CONF, FILLED, member, parameters, words
from forecast.series.read.options import ReadOptions, override

MODELS = "models=[naive]"


def one(verb: str, *words: str, overlay: Path | None = None) -> Any:
    """The configuration of a single run."""
    ((_, found),) = compose.read(verb, words, overlay, sweeping=False)
    return found


def refused(verb: str, *words: str, overlay: Path | None = None) -> str:
    """The one line in which the words are refused."""
    with pytest.raises(InputError) as error:
        one(verb, *words, overlay=overlay)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """A user's folder of configurations."""
    files = {
        "model/weekly.yaml": "defaults: [window_average]\nwindow: 52\n",
        "data/pump.yaml": "path: pump.csv\ntimezone: Europe/Berlin\n",
        "experiment/large.yaml": "# @package _global_\nhorizon: 96\nmodels: [weekly, {name: weekly, window: 4}]\n",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


def test_every_key_of_every_verb_has_one_default_and_one_type() -> None:
    for verb in VERBS:
        found = help.keys(verb, {"model": "naive"})
        groups = ("model", "benchmark", "detector", "source")  # their keys are those of the class that is chosen
        own = {name for name in found if not name.startswith(tuple(f"{group}." for group in groups))}
        assert own - {*groups} == {name for name in kinds(VERBS[verb]) if name not in groups}, verb
        assert all(text for _, text in found.values()), verb


def test_fields_of_read_options_are_read_from_source() -> None:
    real = {field.name: field.default for field in dataclasses.fields(ReadOptions)}
    assert {name: parameter.default for name, parameter in read_options().items()} == real
    assert all(parameter.help for parameter in read_options().values())


def test_read_options_take_what_the_configuration_holds() -> None:
    found = one(
        "validate", "data.path=a.csv", "data.season=[24,168]", "data.inputs=load", "data.delimiter=;", "data.decimal=,"
    )
    options = ReadOptions(**found.data.options)
    assert (options.season, options.inputs, options.delimiter, options.decimal) == ((24, 168), ("load",), ";", ",")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("missing", ["-999", "n/a", "-", "null", "nan", "1e3", "it's", 'say "x"', "a\\b", "a\\", "ü", "a b"]),
        ("time", ["Datum Zeit"]),
        ("id", ["Größe (m)"]),
        ("target", ["$1", "a,b", "{c}", "[d]", "e=f", "${g}"]),
        ("delimiter", ";"),
        ("delimiter", "\t"),
        ("decimal", ","),
        ("thousands", "'"),
        ("quote", "'"),
        ("quote", ""),
        ("format", "%d.%m.%Y %H:%M"),
        ("timezone", "Europe/Berlin"),
        ("encoding", "cp1252"),
    ],
)
def test_what_an_error_proposes_can_be_typed_as_it_stands(key: str, value: Any) -> None:
    """The reader names options as one would type them in a shell; typed so, they mean what it meant."""
    (word,) = shlex.split(override(key, value))
    meant = ReadOptions(**{key: tuple(value) if isinstance(value, list) else value})
    assert ReadOptions(**one("validate", word).data.options) == meant


def test_overrides_reach_every_level_without_a_plus() -> None:
    found = one(
        "train",
        "data=co2",
        "model=window_average",
        "model.window=7",
        "trainer=gpu",
        "trainer.max_steps=20",
        "tracking=none",
    )
    assert isinstance(found, Train)
    assert (found.data.name, found.data.path) == ("co2", None)
    assert found.model == member("window_average", {"window": 7})
    assert isinstance(found.trainer, Trainer)
    assert (found.trainer.accelerator, found.trainer.max_steps, found.tracking.mlflow) == ("gpu", 20, False)
    assert one("train", "model=window_average", "+model.window=7").model == found.model
    assert one("train", "model=window_average", "++model.window=7").model == found.model


@pytest.mark.parametrize("word", words())
def test_every_parameter_of_every_member_can_be_set(word: str) -> None:
    """Without a `+`, on the line and in a list, to another value than the default where it is a number."""
    default = {name: p.default for name, p in parameters(word).items()}
    numbers = {n: v for n, v in default.items() if type(v) in (int, float)}
    filled = {name: [3, 4] if name == "seasons" else 3 for name in default if name in FILLED}
    given = default | {name: value + 1 for name, value in numbers.items()} | filled
    typed = [f"model.{name}={help.shown(value)}" for name, value in given.items()]
    expected = member(word, given)
    assert one("train", f"model={word}", *typed).model == expected
    inner = ", ".join(f"{name}: {help.shown(value)}" for name, value in given.items())
    assert one("compare", f"models=[{{name: {word}, {inner}}}]").models == (expected,)
    for name in given:
        assert f"did you mean 'model.{name}'?" in refused("train", f"model={word}", f"model.{name}x=1")


def test_models_are_listed_with_parameters_of_their_own() -> None:
    found = one(
        "compare", "models=[seasonal_naive,{name: window_average, window: 3},{name: window_average, window: 7}]"
    )
    assert isinstance(found, Compare)
    assert [model.label for model in found.models] == [
        "seasonal_naive",
        "window_average(window=3)",
        "window_average(window=7)",
    ]
    assert one("compare", "models=naive").models == (member("naive"),)


def test_text_is_taken_as_it_stands() -> None:
    for text in (
        "my file(1).csv",
        "a,b.csv",
        "C:\\data\\x.csv",
        "it's.csv",
        "é=1.csv",
        "007",
        "1e5",
        "-",
        "[x]",
        "$HOME",
    ):
        assert one("validate", f"data.path={text}").data.path == text
    assert one("validate", "data.path='quoted'").data.path == "quoted"
    assert one("watch", "source=mqtt", "source.topic=plant/#").source["topic"] == "plant/#"
    assert one("watch", "source=mqtt", "source.topic=plant/+/temp", "source.port=18830").source["port"] == 18830
    assert one("validate", "data.path=${out}/x.csv").data.path == "outputs/x.csv"
    assert one("validate", "data.timezone=null").data.options["timezone"] is None


def test_a_key_may_refer_to_another() -> None:
    assert one("compare", MODELS, "cutoffs=7", "horizon=${cutoffs}").horizon == 7
    assert refused("compare", MODELS, "horizon=${cutofs}") == "horizon: Interpolation key 'cutofs' not found"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["model.windw=3", "model=window_average"], "unknown key 'model.windw'; did you mean 'model.window'?"),
        (["model.window=x", "model=window_average"], "model.window: expected an integer or null, got 'x'"),
        (["model=windw_average"], "unknown model 'windw_average'; did you mean 'window_average'?"),
        (["data=c02"], "unknown data 'c02'; did you mean 'co2'?"),
        (["data=my.csv"], "unknown data 'my.csv'; for a file pass data.path=my.csv"),
        (["data=co2", "data.path=my.csv"], "data.name=co2 and data.path=my.csv: give one of them"),
        (["data.pth=my.csv"], "unknown key 'data.pth'; did you mean 'data.path'?"),
        (["dat.path=my.csv"], "unknown key 'dat.path'; did you mean 'data.path'?"),
        (["horizn=3"], "unknown key 'horizn'; did you mean 'horizon'?"),
        (["models=[naive]"], "unknown key 'models'; did you mean 'model'?"),
        (["trainer=gpus"], "unknown trainer 'gpus'; did you mean 'gpu'?"),
        (["trainer.devices=true"], "trainer.devices: expected an integer, got true"),
        (["trainer.accelerator=cuda"], "unknown trainer.accelerator 'cuda'; choose from auto, cpu, gpu"),
        (["trainer.x=1"], "unknown key 'trainer.x'; choose from trainer.accelerator, "),
        (["trainer.devices={a: 1}"], "trainer.devices: expected an integer, got {'a': 1}"),
        (["horizon=abc"], "horizon: expected an integer or null, got 'abc'"),
        (["horizon=2.5"], "horizon: expected an integer or null, got 2.5"),
        (["horizon"], "cannot read 'horizon'; arguments look like key=value"),
        (["horizon=[3"], "cannot read 'horizon=[3': "),
        (
            ["horizon=3,6"],
            "'horizon=3,6' names several values; write horizon=[3,6] for a list, or add -m for one run each",
        ),
        (["~horizon"], "cannot read '~horizon'"),
        (["hydra.run.dir=x"], "Hydra's own settings cannot be set here"),
        (["hydra.job.env_copy=[HOME]"], "Hydra's own settings cannot be set here"),
        (["model.class=forecast.x.os.mkdir"], "a class cannot be set; choose a model by its word"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(words: list[str], message: str) -> None:
    assert message in refused("train", *words)


def test_a_sweep_is_one_run_for_each_combination() -> None:
    runs = compose.read(
        "compare",
        ["horizon=3,6", "models=[naive],[drift,naive]", "data.path=a.csv", "seed=range(1,3)"],
        None,
        sweeping=True,
    )
    seen = [(c.horizon, len(c.models), c.seed, c.data.path) for _, c in runs]
    assert seen == [(h, m, s, "a.csv") for h in (3, 6) for m in (1, 2) for s in (1, 2)]
    assert runs[0][0] == ["horizon=3", "models=[naive]", "data.path='a.csv'", "seed=1"] or runs[0][0][0] == "horizon=3"
    with pytest.raises(InputError, match="name the values"):
        compose.read("compare", ["horizon=interval(1,3)"], None, sweeping=True)


def test_a_folder_of_ones_own_adds_words(mine: Path) -> None:
    trained = one("train", "data=pump", "model=weekly", "model.channels=2", overlay=mine)
    assert (trained.model.word, trained.model.parameters) == ("weekly", {"window": 52, "channels": 2})
    assert (trained.data.path, trained.data.options["timezone"]) == ("pump.csv", "Europe/Berlin")
    found = one("compare", "experiment=large", "cutoffs=2", overlay=mine)
    assert (found.horizon, found.cutoffs) == (96, 2)
    assert [model.parameters["window"] for model in found.models] == [52, 4]
    assert refused("train", "model=weekli", overlay=mine) == "unknown model 'weekli'; did you mean 'weekly'?"
    assert "no such folder" in refused("train", overlay=mine / "absent")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model/bad.yaml", "defaults: [naive]\n_target_: os.mkdir\n", "bad.yaml: '_target_' is not allowed"),
        (
            "model/bad.yaml",
            "defaults: [naive]\nchannels: {a: [{_target_: os.mkdir}]}\n",
            "'channels.a._target_' is not allowed",
        ),
        ("model/bad.yaml", "class: forecast.x.os.mkdir\n", "'forecast.x.os.mkdir' is not a class of conf/model/"),
        ("model/bad.yaml", "channels: 3\n", "its file builds on no model of ours"),
        (
            "model/bad.yaml",
            "defaults: [naive]\nchanels: 3\n",
            "unknown key 'model.chanels'; did you mean 'model.channels'?",
        ),
        ("model/bad.yaml", "a: !!python/name:os.mkdir\n", "bad.yaml:1: could not determine a constructor"),
        ("model/bad.yaml", "a: &a [1]\nb: *a\n", "bad.yaml:2: an alias (*name) is not allowed"),
        ("model/bad.yaml", "a: [\n", "bad.yaml:2: "),
        ("model/bad.yaml", "- a\n", "bad.yaml: expected keys with values"),
        ("model/naive.yaml", "defaults: [drift]\n", "'naive' is one of our own words for model; choose another name"),
        ("modle/x.yaml", "a: 1\n", "unknown folder 'modle'; did you mean 'model'?"),
        ("./train.yaml", "seed: 1\n", "train.yaml: belongs into "),
        ("data/x.yaml", "hydra: {_target_: os.mkdir}\n", "x.yaml: 'hydra._target_' is not allowed"),
    ],
)
def test_a_bad_file_of_ones_own_is_named(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    assert message in refused("train", "model=bad" if name.startswith("model") else "seed=0", overlay=tmp_path)


@pytest.mark.parametrize(
    "words",
    [
        ["model._target_=os.mkdir"],
        ["model={_target_: os.mkdir}"],
        ["++trainer._target_=os.mkdir"],
        ["trainer.strategy='_target_'"],
        ["tracking={a: [{_target_: os.mkdir}]}"],
    ],
)
def test_no_target_is_taken_from_what_is_typed(words: list[str]) -> None:
    assert "'_target_' is not allowed" in refused("train", *words)


def test_nothing_is_imported_on_the_way_to_a_refusal(mine: Path) -> None:
    """Neither our own heavy modules nor what a class path walks to: the whole composition stays without torch."""
    code = f"""
    import sys
    from pathlib import Path
    from forecast.errors import InputError
    from forecast.experiment import compose
    overlay = Path({str(mine)!r})
    (overlay / "model" / "walk.yaml").write_text("class: forecast.artefact.os.mkdir\\n")
    walk = "forecast.artefact.os.mkdir"
    for words in (["model=walk"], [f"model={{{{name: naive, class: {{walk}}}}}}"], [f"model._target_={{walk}}"]):
        try:
            compose.read("train", words, overlay, False)
        except InputError as error:
            print(error)
    compose.read("train", ["model=naive", "data=co2"], overlay, False)
    print(sorted({{"torch", "lightning", "mlflow", "pandas", "numpy", "forecast.artefact"}} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    *refusals, imported = done.stdout.splitlines()
    assert (len(refusals), imported) == (3, "[]")


def test_the_environment_never_reaches_a_configuration(monkeypatch: pytest.MonkeyPatch, mine: Path) -> None:
    monkeypatch.setenv("CANARY", "hunter2")
    for typed in (
        ["out=${oc.env:CANARY}"],
        ["horizon=${oc.env:CANARY,3}"],
        ["models=[{name: naive, channels: '${oc.env:CANARY}'}]"],
    ):
        assert "${oc.env:CANARY} would be saved with the run" in refused("compare", MODELS, *typed)
    (mine / "data" / "pump.yaml").write_text("path: ${oc.env:CANARY}\n")
    (mine / "experiment" / "sly.yaml").write_text("# @package _global_\nout: env\nwindow: ${oc.${out}:CANARY}\n")
    assert "hunter2" not in refused("compare", MODELS, "data=pump", overlay=mine)
    assert "hunter2" not in refused("compare", MODELS, "experiment=sly", overlay=mine)


def test_secrets_are_not_saved() -> None:
    node = {
        "sink": {"token": "a1", "api_key": "b2", "topic": "plant", "passwords": ["c3"], "retries": 3, "secret": None}
    }
    hidden = redact(node)["sink"]
    assert hidden == {
        "token": "***",
        "api_key": "***",
        "topic": "plant",
        "passwords": ["***"],
        "retries": 3,
        "secret": None,
    }
    found = one("train", "model=naive", "tracking.uri=postgresql://me:hunter2@host/db")
    assert found.tracking.uri == "postgresql://me:hunter2@host/db"
    assert "hunter2" not in yaml.safe_dump(logged(found))
    assert logged(found)["tracking"]["uri"] == "postgresql://***@host/db"


def test_none_of_our_keys_sounds_like_a_secret_by_chance() -> None:
    for verb in VERBS:
        node = {name: "text" for name in help.keys(verb, {})}
        assert redact(node) == node


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"benchmark"}))
def test_saved_configuration_is_complete_and_reads_back(verb: str, tmp_path: Path) -> None:
    words = {
        "compare": [MODELS, "data=co2"],
        "demo": [MODELS],
        "train": ["model=window_average", "model.window=3"],
    }.get(verb, [])
    found = one(verb, *words)
    save(found, tmp_path / "config.yaml")
    assert load(tmp_path / "config.yaml") == found
    node = yaml.safe_load((tmp_path / "config.yaml").read_text())
    assert next(iter(node)) == "verb"
    flat = {f"{a}.{b}" for a, part in node.items() if isinstance(part, dict) for b in part} | set(node)
    assert set(kinds(VERBS[verb])) <= flat
    if verb == "train":
        assert node["model"] == {
            "name": "window_average",
            "class": found.model.path,
            "season": None,
            "window": 3,
            "channels": None,
            "horizon": None,
        }


def test_a_saved_configuration_can_be_changed_in_single_keys(tmp_path: Path) -> None:
    save(one("train", "model=window_average"), tmp_path / "config.yaml")
    changed = compose.resumed(tmp_path, "train", ["trainer.max_steps=7", "model.window=3", "data.path=a b.csv"])
    assert (changed.trainer.max_steps, changed.model.parameters, changed.data.path) == (7, {"window": 3}, "a b.csv")
    with pytest.raises(InputError, match=r"unknown key 'trainer.max_step'; did you mean 'trainer.max_steps'\?"):
        compose.resumed(tmp_path, "train", ["trainer.max_step=7"])
    with pytest.raises(InputError, match="not a run of compare"):
        compose.resumed(tmp_path, "compare", [])


def test_a_tampered_saved_configuration_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    save(one("train", "model=window_average"), file)
    good = file.read_text()
    for bad in (
        good.replace("forecast.models.window_average.WindowAverage", "forecast.artefact.os.mkdir"),
        good.replace("window: null", "window: null\n  _target_: os.mkdir"),
        good.replace("verb: train", "verb: exec"),
        good.replace("window: null", "window: !!python/name:os.mkdir"),
        good.replace("  window: null\n", "  wndow: 3\n"),
        good.replace("seed: 0\n", ""),
    ):
        assert bad != good
        file.write_text(bad)
        with pytest.raises(InputError):
            load(file)


@pytest.mark.parametrize(
    ("value", "kind", "result"),
    [
        (3, float, 3.0),
        (3.0, int, 3),
        (3, int | None, 3),
        (None, int | None, None),
        ("a", tuple[str, ...], ("a",)),
        ([1, 2], tuple[int, ...], (1, 2)),
        ([1, 2], tuple[float, float], (1.0, 2.0)),
        (7, str, "7"),
        ("7", str | int, "7"),
        (7, str | int, 7),
        ("a.csv", Path | None, Path("a.csv")),
        ("b", Literal["a", "b"], "b"),
        (1, Literal["1", "2"], "1"),
        (True, bool, True),
        ({"a": 1}, dict, {"a": 1}),
        ({"a": 1}, Any, {"a": 1}),
    ],
)
def test_values_are_taken_as_their_type_says(value: Any, kind: Any, result: Any) -> None:
    taken = convert(value, kind, "key")
    assert (taken, type(taken)) == (result, type(result))


@pytest.mark.parametrize(
    ("value", "kind", "message"),
    [
        (True, int, "key: expected an integer, got true"),
        (1, bool, "key: expected true or false, got 1"),
        ("3", int, "key: expected an integer, got '3'"),
        (None, float, "key: expected a number, got null"),
        ("x", int | float | None, "key: expected an integer or a number or null, got 'x'"),
        ([1, "x"], tuple[int, ...], "key: expected an integer, got 'x'"),
        ([1], tuple[int, int], "key: expected a list of 2 values, got [1]"),
        (3, Literal["1", "2"], "unknown key '3'; choose from 1, 2"),
        ("slidin", Literal["expanding", "sliding"], "unknown key 'slidin'; did you mean 'sliding'?"),
        ({"a": 1}, str, "key: expected text, got {'a': 1}"),
        (False, str, "key: expected text, got false"),
        ("x", dict, "key: expected keys with values, got 'x'"),
    ],
)
def test_values_of_another_type_are_refused(value: Any, kind: Any, message: str) -> None:
    with pytest.raises(InputError) as error:
        convert(value, kind, "key")
    assert str(error.value) == message


def test_types_have_words() -> None:
    assert describe(tuple[int, ...] | None) == "a list, each an integer or null"
    assert describe(Literal["a", "b"]) == "one of a, b"


def test_yaml_files_have_a_size_limit(tmp_path: Path) -> None:
    (tmp_path / "big.yaml").write_text("a: " + "x" * (1 << 20))
    with pytest.raises(InputError, match="larger than 1 MiB"):
        read_yaml(tmp_path / "big.yaml")
    (tmp_path / "latin.yaml").write_bytes(b"a: \xe9")
    with pytest.raises(InputError, match="not UTF-8 text"):
        read_yaml(tmp_path / "latin.yaml")


def test_composition_leaves_hydra_as_it_was() -> None:
    before = GlobalHydra.instance().is_initialized()
    one("selftest")
    refused("compare", "horizon=${nothing}", MODELS)
    assert GlobalHydra.instance().is_initialized() == before
    from omegaconf import OmegaConf

    assert OmegaConf.create({"a": "${oc.env:PATH}"}).a == os.environ["PATH"]


def test_words_of_the_files_of_conf_exist() -> None:
    """The defaults of every verb can be composed as they stand, once the models they name are there."""
    for verb in VERBS:
        defaults = read_yaml(CONF / f"{verb}.yaml")["defaults"]
        for group, word in (pair for item in defaults if isinstance(item, dict) for pair in item.items()):
            assert word in (None, "???") or word in overrides.groups(None)[group], (verb, group, word)


@pytest.mark.parametrize("verb", sorted(set(VERBS) - {"benchmark"}))
def test_a_verb_runs_on_its_defaults(verb: str) -> None:
    """Every word that a root file names is there."""
    assert isinstance(one(verb), VERBS[verb])


def test_an_experiment_sets_several_keys_and_yields_to_what_is_typed() -> None:
    found = one("compare", "experiment=quick", "cutoffs=3")
    assert (found.cutoffs, found.tracking.mlflow, len(found.models)) == (3, False, 5)


def test_plain_is_plain() -> None:
    def leaves(node: Any) -> list[Any]:
        parts = node.values() if isinstance(node, dict) else node if isinstance(node, list) else None
        return [node] if parts is None else [leaf for part in parts for leaf in leaves(part)]

    kinds_found = {type(leaf) for leaf in leaves(plain(one("compare", MODELS)))}
    assert kinds_found <= {str, int, float, bool, type(None)}
    assert config.VERBS["compare"] is Compare
