"""What `data` names: files and data sets of the catalogue."""

from pathlib import Path
from typing import Any

import pytest

from forecast.errors import InputError
from forecast.experiment import compose, data
from forecast.experiment.config import Data


def named(*words: str) -> Data:
    """The data that these words name."""
    ((_, config),) = compose.read("validate", words, None, sweeping=False)
    found: Data = config.data
    return found


def test_a_file_is_read_as_the_options_say(tmp_path: Path) -> None:
    (tmp_path / "pump 1.csv").write_text("when;load\n01.02.2024;1,5\n02.02.2024;2,5\n03.02.2024;-\n04.02.2024;4\n")
    source = data.load(named(f"data.path={tmp_path}/pump 1.csv", "data.season=7", "data.delimiter=;", "data.decimal=,"))
    assert source.panel.values[:, 0].tolist()[:2] == [1.5, 2.5]
    assert (source.name, source.panel.seasons, source.protocol) == ("pump 1.csv", (7,), None)
    assert any(guess.line().startswith("data.time=") and "when" in guess.line() for guess in source.intake.guesses)


def test_several_clocks_are_several_panels(tmp_path: Path) -> None:
    hours = [f"a,2024-01-01 {h:02d}:00,{h}" for h in range(24)]
    days = [f"b,2024-01-{d:02d},{d}" for d in range(1, 25)]
    (tmp_path / "x.csv").write_text("\n".join(["unique_id,ds,y", *hours, *days]) + "\n")
    given = named(f"data.path={tmp_path}/x.csv")
    assert len(data.sources(given)) == 2
    with pytest.raises(InputError, match="2 clocks"):
        data.load(given)


def test_a_data_set_comes_with_its_protocol() -> None:
    source = data.load(named("data=nile"))
    assert (source.name, len(source.panel.values)) == ("nile", 100)
    assert source.protocol is not None
    assert data.load(named("data=nile", "data.season=5")).panel.seasons == (5,)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "no data; pass data.path=my.csv, or data=NAME"),
        (["data=nile", "data.delimiter=;"], "data.delimiter is for files; data=nile is read as its protocol says"),
        (["data.path=absent.csv"], "absent.csv"),
        (["data=nile/x"], "unknown data 'nile/x'; did you mean 'nile'?"),
    ],
)
def test_what_is_wrong_is_said(words: list[str], message: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as error:
        data.load(named(*words))
    assert message in str(error.value)


def test_a_part_of_a_data_set_can_be_named(real_data: Path) -> None:
    parts = data.sources(named("data=m3"))
    assert len(parts) > 1
    assert data.load(named(f"data={parts[1].name}")).name == parts[1].name
    with pytest.raises(InputError, match=f"choose one: data={parts[0].name}"):
        data.load(named("data=m3"))
