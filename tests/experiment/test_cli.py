"""The command line as a person meets it: help at once, errors in one line, run folders, sweeps, completion."""

import importlib.util
import os
import re
import resource
import shlex
import subprocess
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from forecast import __main__ as command_line
from forecast.errors import ForecastError, InputError
from forecast.experiment import completion, help, runs
from forecast.experiment.config import VERBS, kinds, load
from tests.experiment.line import Said, forecast

HEAVY = {
    "torch",
    "lightning",
    "mlflow",
    "pandas",
    "numpy",
    "scipy",
    "sklearn",
    "statsmodels",
    "matplotlib",
    "hydra",
    "omegaconf",
}
Ran = list[tuple[Any, Path]]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run folders go to the test's own folder, where the file lies that verbs are given."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.csv").write_text("ds,y\n2020-01-01,1\n")


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> Ran:
    """The verb `train` replaced by one that keeps what it is given."""
    seen: Ran = []
    _replace(monkeypatch, "train", lambda config, out: seen.append((config, out)) or 0)
    return seen


def _replace(monkeypatch: pytest.MonkeyPatch, verb: str, body: Callable[[Any, Path], int]) -> None:
    module = types.ModuleType(f"forecast.experiment.{verb}")
    module.run = body  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(help, "verbs", lambda: tuple(VERBS))


def process(*arguments: str) -> tuple[Said, float, set[str]]:
    """A process of its own: what it said, its CPU seconds, the top-level modules it imported."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "forecast", *arguments], capture_output=True, text=True
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    imported = {
        line.rpartition("|")[2].strip().partition(".")[0]
        for line in done.stderr.splitlines()
        if line.startswith("import time:")
    }
    said = "\n".join(line for line in done.stderr.splitlines() if not line.startswith("import time:"))
    return Said(done.returncode, done.stdout, said), seconds, imported


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["fetch", "--help"], ["completion"], ["completion", "line=forecast fetch n"]],
)
def test_help_costs_under_a_second_and_imports_nothing_heavy(arguments: list[str]) -> None:
    said, seconds, imported = process(*arguments)
    assert (said.code, said.err) == (0, "")
    assert "forecast" in imported
    assert imported & HEAVY == set()
    assert seconds < 1


def test_overview_names_every_verb() -> None:
    said = forecast("--help")
    assert said.code == 0
    for verb in help.verbs():
        assert re.search(rf"^  {verb} +\w", said.out, re.MULTILINE)
    assert forecast("help") == said
    assert forecast("-h") == said
    assert forecast().code == 2


def test_a_verb_is_offered_only_if_its_work_is_there() -> None:
    for verb in VERBS:
        homes = [f"forecast.experiment.{verb}"] + (
            [f"forecast.{verb}.verb"] if importlib.util.find_spec(f"forecast.{verb}") else []
        )
        there = [home for home in homes if importlib.util.find_spec(home)]
        works = any(hasattr(importlib.import_module(home), "run") for home in there)
        assert (verb in help.verbs()) == works, verb
    assert {"fetch", "selftest", "watch"} <= set(help.verbs())


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_help_of_a_verb_shows_every_key_with_its_default(verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(help, "verbs", lambda: tuple(VERBS))
    said = forecast(verb, "--help", "model=window_average")
    assert said.code == 0
    shown = set(re.findall(r"^  ([\w.]+) = \S", said.out, re.MULTILINE))
    assert shown >= set(kinds(VERBS[verb])) - {"benchmark"}
    assert ("model.window" in shown) == ("model" in kinds(VERBS[verb]))


def test_version() -> None:
    assert re.fullmatch(r"forecast \d+\.\d+\.\d+\n", forecast("--version").out)


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["fetsh"], "unknown verb 'fetsh'; did you mean 'fetch'?"),
        (["fetch", "nam=nile"], "unknown key 'nam'; did you mean 'name'?"),
        (["fetch", "accept=maybe"], "accept: expected true or false, got 'maybe'"),
        (["fetch", "nile"], "cannot read 'nile'; arguments look like key=value, as in horizon=24 or data.path=my.csv"),
        (["fetch=nile"], "unknown key 'fetch'; did you mean 'url'?"),
        (["fetch", "--versoin"], "unknown flag '--versoin'; did you mean '--version'?"),
        (["fetch", "--config-dir"], "--config-dir needs a folder"),
        (["fetch", "--config-dir=nowhere"], "--config-dir nowhere: no such folder"),
        (["fetch", "name=x y"], "unknown data set 'x y'; choose from"),
        (
            ["fetch", "accept=true,false"],
            "'accept=true,false' names several values; write accept=[true,false] for a list, or add -m",
        ),
    ],
)
def test_wrong_input_gets_one_line_and_exit_code_2(arguments: list[str], line: str) -> None:
    said = forecast(*arguments)
    assert (said.code, said.out) == (2, "")
    assert len(said.err.splitlines()) == 1
    if "fetch=" not in arguments[0]:
        assert said.err.startswith(f"forecast: {line}")


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (InputError("a.csv:3: what\nand where"), 2, "forecast: a.csv:3: what and where"),
        (ForecastError("the server is gone"), 1, "forecast: the server is gone"),
        (ValueError("odd"), 1, "forecast: ValueError: odd; --debug shows where"),
        (PermissionError(13, "Permission denied", "/x/y"), 1, "forecast: /x/y: Permission denied"),
        (KeyboardInterrupt(), 130, "forecast: stopped"),
    ],
)
def test_whatever_goes_wrong_is_one_line(
    error: BaseException, code: int, line: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(config: Any, out: Path) -> int:
        raise error

    _replace(monkeypatch, "train", fail)
    said = forecast("train", "model=naive")
    assert (said.code, said.err) == (code, line + "\n")
    with pytest.raises(type(error)):
        command_line.main(["train", "model=naive", "--debug"])


@pytest.mark.parametrize(("code", "linked"), [(0, True), (1, False), (3, True)])
def test_exit_code_is_the_verbs_and_only_a_finished_run_is_the_latest(
    code: int, linked: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _replace(monkeypatch, "train", lambda config, out: code)
    assert forecast("train", "model=naive").code == code
    assert Path("outputs/train/latest").exists() == linked


def test_a_run_gets_a_folder_with_its_whole_configuration(ran: Ran) -> None:
    assert forecast("train", "model=window_average", "model.window=3", "data.path=a.csv").code == 0
    ((config, folder),) = ran
    assert folder.parent == Path("outputs/train")
    assert load(folder / "config.yaml") == config
    assert Path("outputs/train/latest").resolve() == folder.resolve()
    assert os.readlink("outputs/train/latest") == folder.name


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
@pytest.mark.parametrize(("surroundings", "held"), [({}, True), ({"MALLOC_TRIM_THRESHOLD_": "1000"}, False)])
def test_freed_memory_is_held_unless_the_surroundings_have_decided(surroundings: dict[str, str], held: bool) -> None:
    """Bytes that the process has when 16 MiB have come and gone."""
    script = (
        "from forecast.__main__ import hold_memory\nhold_memory()\n"
        "resident = lambda: int(open('/proc/self/statm').read().split()[1]) * 4096\n"
        "before, pieces = resident(), [b'x' * (1 << 20) for _ in range(16)]\n"
        "del pieces\nprint(resident() - before)\n"
    )
    clean = {k: v for k, v in os.environ.items() if not k.startswith("MALLOC_") and k != "GLIBC_TUNABLES"}
    done = subprocess.run(
        [sys.executable, "-c", script], env=clean | surroundings, capture_output=True, text=True, check=True
    )
    assert (int(done.stdout) > 8 << 20) == held, done.stdout


def test_the_first_word_may_name_the_choice() -> None:
    command = command_line.parse(["benchmark=ltsf", "seed=1", "-m"])
    assert command == (["benchmark=ltsf", "seed=1"], frozenset({"-m"}), None)


def test_first_word_with_a_choice_sets_the_key_of_its_verb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: Ran = []
    _replace(monkeypatch, "benchmark", lambda config, out: seen.append((config, out)) or 0)
    (tmp_path / "mine" / "benchmark").mkdir(parents=True)
    (tmp_path / "mine" / "benchmark" / "toy.yaml").write_text("suite: small\n")
    assert forecast("benchmark=toy", "benchmark.suite=large", "models=[naive]", "--config-dir", "mine").code == 0
    assert seen[0][0].benchmark == {"suite": "large", "name": "toy"}
    said = forecast("benchmark=tyo", "models=[naive]", "--config-dir", "mine")
    assert said.err == "forecast: unknown benchmark 'tyo'; did you mean 'toy'?\n"


def test_a_sweep_gives_every_run_its_folder(ran: Ran) -> None:
    said = forecast("train", "-m", "model=naive,window_average", "seed=1,2", "data.path=a.csv")
    assert said.code == 0
    assert [(config.model.word, config.seed) for config, _ in ran] == [
        ("naive", 1),
        ("naive", 2),
        ("window_average", 1),
        ("window_average", 2),
    ]
    (sweep,) = {folder.parent for _, folder in ran}
    assert [folder.name for _, folder in ran] == ["0", "1", "2", "3"]
    assert [load(folder / "config.yaml") for _, folder in ran] == [config for config, _ in ran]
    assert Path("outputs/train/latest").resolve() == (sweep / "3").resolve()
    assert "run 4 of 4: model=window_average seed=2" in said.err


def test_a_sweep_goes_on_after_a_run_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def body(config: Any, out: Path) -> int:
        seen.append(config.seed)
        if config.seed == 1:
            raise InputError("no good")
        return 0

    _replace(monkeypatch, "train", body)
    said = forecast("train", "-m", "model=naive", "seed=1,2")
    assert (said.code, seen) == (2, [1, 2])
    assert "forecast: no good" in said.err


def test_a_run_that_was_stopped_goes_on_in_its_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: Ran = []

    def body(config: Any, out: Path) -> int:
        seen.append((config, out.resolve()))
        if len(seen) == 1:
            raise KeyboardInterrupt
        return 0

    _replace(monkeypatch, "train", body)
    assert forecast("train", "model=window_average", "model.window=3", "seed=5").code == 130
    assert not Path("outputs/train/latest").exists()
    assert forecast("train", "resume=latest", "trainer.max_steps=7").code == 0
    (first, folder), (second, again) = seen
    assert folder == again
    assert (second.model, second.seed, second.trainer.max_steps) == (first.model, 5, 7)
    assert Path("outputs/train/latest").resolve() == folder
    assert forecast("train", f"resume={folder}").code == 0
    assert forecast("train", "resume=outputs/nothing").err.startswith("forecast: outputs/nothing: not a run folder")
    said = forecast("train", "resume=latest", "model=naive")
    assert said.err == "forecast: model=naive: a run goes on with what it began with; only single keys can be changed\n"


def test_the_link_is_never_absent_while_it_moves(tmp_path: Path) -> None:
    """A reader in another thread of control sees the old run or the new one: the link is replaced, not removed."""
    first, second = runs.new(tmp_path, "train"), runs.new(tmp_path, "train")
    assert first != second
    runs.finish(first, tmp_path / "train")
    replaced: list[tuple[str, str]] = []

    def replace(source: str, target: str) -> None:
        replaced.append((os.readlink(source), os.readlink(target)))
        os.rename(source, target)

    patched = pytest.MonkeyPatch()
    patched.setattr(runs.os, "replace", replace)
    runs.finish(second, tmp_path / "train")
    patched.undo()
    assert replaced == [(second.name, first.name)]
    assert (tmp_path / "train" / "latest").resolve() == second
    assert sorted(path.name for path in (tmp_path / "train").iterdir()) == sorted([first.name, second.name, "latest"])


def test_latest_of_several_verbs_is_the_newest_finished_one(tmp_path: Path) -> None:
    folders = {}
    for age, verb in enumerate(("compare", "train", "train")):
        folder = runs.new(tmp_path, verb)
        (folder / "config.yaml").write_text(f"verb: {verb}\n")
        os.utime(folder / "config.yaml", (age, age))
        folders[age] = folder
    with pytest.raises(InputError, match="no run of train or compare"):
        runs.find("latest", tmp_path, ["train", "compare"])
    runs.finish(folders[0], tmp_path / "compare")
    assert runs.find("latest", tmp_path, ["train", "compare"]) == folders[0].resolve()
    runs.finish(folders[1], tmp_path / "train")
    assert runs.find("latest", tmp_path, ["train", "compare"]) == folders[1].resolve()
    assert runs.find("latest", tmp_path, ["train"], finished=False) == folders[2].resolve()
    assert runs.find(str(folders[0]), tmp_path, ["train"]) == folders[0].resolve()


def test_secrets_do_not_reach_the_run_folder(ran: Ran) -> None:
    forecast("train", "model=naive", "tracking.uri=https://me:hunter2@host/x")
    ((config, folder),) = ran
    assert "hunter2" in config.tracking.uri
    assert all("hunter2" not in file.read_text() for file in folder.rglob("*") if file.is_file())


def test_libraries_are_told_before_they_are_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in command_line.ENVIRONMENT:
        monkeypatch.setenv(name, "something else")
    forecast("--version")
    assert {name: os.environ[name] for name in command_line.ENVIRONMENT} == {
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
        "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
    }


def test_output_may_be_cut_short() -> None:
    line = f"{shlex.quote(sys.executable)} -m forecast fetch | head -n 1 > /dev/null; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_completion_knows_verbs_keys_and_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(help, "verbs", lambda: tuple(VERBS))
    assert completion.complete("forecast co") == ["compare"]
    assert completion.complete("forecast train da") == ["data=", *(f"data.{n}=" for n in _options())]
    assert completion.complete("forecast train data=etth") == ["data=etth1", "data=etth2"]
    assert "model=window_average" in completion.complete("forecast train model=")
    assert completion.complete("forecast train model=window_average model.w") == ["model.window="]
    assert completion.complete("forecast compare window=") == ["window=expanding", "window=sliding"]
    assert completion.complete("forecast fetch accept=t") == ["accept=true"]
    assert completion.complete("forecast train trainer=") == ["trainer=cpu", "trainer=gpu"]
    assert completion.complete("forecast --he") == ["--help"]
    assert completion.complete("forecast nothing x") == []


def _options() -> list[str]:
    return ["name", *help.read_options()]


@pytest.mark.parametrize(
    ("line", "replies"),
    [
        ("forecast fet", ["fetch "]),
        ("forecast fetch acc", ["accept="]),
        ("forecast fetch accept=t", ["true "]),
        ("forecast fetch accept=", ["true", "false"]),
    ],
)
def test_completion_works_in_bash(line: str, replies: list[str]) -> None:
    """The script of `forecast completion`, driven as bash drives it."""
    script = f"""
    forecast() {{ {shlex.quote(sys.executable)} -m forecast "$@"; }}
    eval "$(forecast completion)"
    COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
    _forecast
    printf '%s|' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("".join(f"{reply}|" for reply in replies), "")


def test_selftest_answers_for_every_member(monkeypatch: pytest.MonkeyPatch) -> None:
    from forecast.experiment import selftest

    chosen = ("naive", "seasonal_naive")
    monkeypatch.setattr(selftest, "members", lambda: chosen)
    monkeypatch.setattr(selftest, "watched", lambda: None)  # tests/watch/test_verb.py has it
    said = forecast("selftest")
    assert said.code == 0, said.out
    assert all(re.search(rf"^ok +{word} ", said.out, re.MULTILINE) for word in chosen)
    monkeypatch.setattr(selftest, "check", lambda one: "broken" if one.word == "naive" else None)
    said = forecast("selftest")
    assert said.code == 1
    assert "FAILED  naive: broken" in said.out
    assert yaml.safe_load(Path("outputs/selftest/latest/config.yaml").read_text())["verb"] == "selftest"
