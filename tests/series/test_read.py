"""Reading: one table in many dresses is one panel; names are guessed and said; every guess can be typed back."""

import gzip
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hydra.core.override_parser.overrides_parser import OverridesParser

from forecast.errors import InputError
from forecast.series.panel import Panel
from forecast.series.read import Intake, ReadOptions, read, read_csv, read_frame, understand


def equal(a: Panel, b: Panel) -> bool:
    """The same series, rows and clock."""
    same = torch.equal(a.values.nan_to_num(1e99), b.values.nan_to_num(1e99)) and torch.equal(a.first, b.first)
    return same and (a.names, a.channels, a.clock, a.start.tolist()) == (b.names, b.channels, b.clock, b.start.tolist())


def table() -> pd.DataFrame:
    """A wide table of floats with gaps."""
    random = np.random.default_rng(3)
    frame = pd.DataFrame(
        {"ds": pd.date_range("2026-01-01", periods=60, freq="h"), "a": random.normal(1500, 900, 60).round(3)}
    )
    frame["b"] = np.where(np.arange(60) % 7 == 3, np.nan, random.normal(0, 1, 60))
    return frame


def _comma(frame: pd.DataFrame, path: Path) -> None:
    frame.to_csv(path, index=False, sep=";", decimal=",")


def _thousands(frame: pd.DataFrame, path: Path) -> None:
    text = frame.assign(a=[f"{v:,.3f}" for v in frame["a"]])
    text.to_csv(path, index=False)


def _recoded(change: Callable[[str], bytes]) -> Callable[[pd.DataFrame, Path], None]:
    return lambda frame, path: path.write_bytes(change(frame.to_csv(index=False))) and None


def _units(text: str) -> bytes:
    head, rest = text.split("\n", 1)
    return f"{head}\n,m³/h,°C\n{rest}".encode()


DRESSES: dict[str, tuple[str, Callable[[pd.DataFrame, Path], None]]] = {
    "quoted": ("t.csv", lambda frame, path: frame.to_csv(path, index=False, quoting=1)),
    "tabs": ("t.tsv", lambda frame, path: frame.to_csv(path, index=False, sep="\t")),
    "pipes": ("t.txt", lambda frame, path: frame.to_csv(path, index=False, sep="|")),
    "decimal commas": ("t.csv", _comma),
    "thousands": ("t.csv", _thousands),
    "gzip": ("t.csv.gz", lambda frame, path: frame.to_csv(path, index=False)),
    "gzip by another name": ("t.csv", _recoded(lambda text: gzip.compress(text.encode()))),
    "two gzip members": ("t.csv.gz", _recoded(lambda text: gzip.compress(text[:500].encode()) + gzip.compress(text[500:].encode()))),
    "byte order mark": ("t.csv", _recoded(lambda text: text.encode("utf-8-sig"))),
    "UTF-16": ("t.csv", _recoded(lambda text: text.encode("utf-16"))),
    "CRLF": ("t.csv", _recoded(lambda text: text.replace("\n", "\r\n").encode())),
    "CR": ("t.csv", _recoded(lambda text: text.replace("\n", "\r").encode())),
    "units under the header": ("t.csv", _recoded(_units)),
    "delimiter on the first line": ("t.csv", _recoded(lambda text: b"sep=,\n" + text.encode())),
    "blank lines": ("t.csv", _recoded(lambda text: text.replace("\n", "\n\n").encode())),
    "NA for missing": ("t.csv", lambda frame, path: frame.to_csv(path, index=False, na_rep="NA")),
    "dashes for missing": ("t.csv", lambda frame, path: frame.to_csv(path, index=False, na_rep="-")),
    "day first": ("t.csv", lambda frame, path: frame.to_csv(path, index=False, date_format="%d.%m.%Y %H:%M")),
    "with T and Z": ("t.csv", lambda frame, path: frame.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")),
    "index in front": ("t.csv", lambda frame, path: frame.to_csv(path)),
    "Parquet": ("t.parquet", lambda frame, path: frame.to_parquet(path)),
    "Parquet in nanoseconds": ("t.parquet", lambda frame, path: frame.astype({"ds": "datetime64[ns]"}).to_parquet(path)),
    "workbook": ("t.xlsx", lambda frame, path: frame.to_excel(path, index=False)),
}  # fmt: skip


@pytest.mark.parametrize("dress", DRESSES)
def test_one_table_in_many_dresses_is_one_panel(dress: str, tmp_path: Path) -> None:
    name, write = DRESSES[dress]
    frame = table()
    write(frame, tmp_path / name)
    found = read_csv(tmp_path / name)
    reference = read_frame(frame)
    if dress == "workbook":  # a workbook keeps 17 digits, openpyxl writes 16 of them
        torch.testing.assert_close(found.values, reference.values, rtol=1e-15, atol=0, equal_nan=True)
        assert found.clock == reference.clock
    else:
        assert equal(found, reference)
    assert found.values[0, 0] == frame["a"][0]
    assert found.clock.step == "h"
    assert found.times(0).equals(pd.DatetimeIndex(frame["ds"].astype("datetime64[us]"), name="ds"))


def test_values_are_those_of_a_correctly_rounding_reader(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    values = random.normal(size=500) * 10.0 ** random.integers(-30, 30, 500)
    path = tmp_path / "t.csv"
    pd.DataFrame({"value": values}).to_csv(path, index=False)
    assert read_csv(path).values[:, 0].tolist() == values.tolist()


NAMED = [
    (("unique_id", "ds", "y"), ("unique_id",), ("ds",)),
    (("item_id", "timestamp", "target"), ("item_id",), ("timestamp",)),
    (("id", "timestamp", "target"), ("id",), ("timestamp",)),
    (("sensor", "time", "value"), ("sensor",), ("time",)),
    (("KPI ID", "Timestamp", "Value"), ("KPI ID",), ("Timestamp",)),
]


@pytest.mark.parametrize(("names", "id", "time"), NAMED)
def test_names_of_other_tools(
    names: tuple[str, ...], id: tuple[str, ...], time: tuple[str, ...], tmp_path: Path
) -> None:
    rows = [
        (k, str(t), float(i))
        for k in ("a", "b")
        for i, t in enumerate(pd.date_range("2026-01-01", periods=5, freq="D"))
    ]
    path = tmp_path / "t.csv"
    pd.DataFrame(rows, columns=list(names)).to_csv(path, index=False)
    found = understand(path)
    panel = found.only()
    assert panel.names == ("a", "b") and panel.channels == (names[2],) and panel.lengths.tolist() == [5, 5]
    keys = {g.key: g.value for g in found.guesses}
    assert (keys["id"], keys["time"]) == ([*id][0:1], time)


def test_wide_tables_are_channels_or_series(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    frame = table()
    frame.loc[50:, "b"] = np.nan
    frame.to_csv(path, index=False)
    wide = understand(path)
    assert (wide.only().names, wide.only().channels) == (("series",), ("a", "b"))
    assert any("data.layout=columns" in g.line() for g in wide.guesses)
    columns = read_csv(path, layout="columns")
    assert columns.names == ("a", "b") and columns.channels == ("y",)
    assert columns.lengths.tolist() == [60, 50]  # from the first to the last reading of each
    torch.testing.assert_close(columns.series(1)[:, 0], wide.only().values[:50, 1], equal_nan=True)


def test_columns_nobody_asked_for_are_named(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("unique_id,ds,y,split\n" + "".join(f"H1,{i},{i}.5,train\n" for i in range(1, 9)))
    found = understand(path)
    panel = found.only()
    assert (panel.clock.kind, panel.clock.origin, panel.clock.step) == ("integer", 1, 1)
    assert panel.channels == ("y",)
    assert any(g.key == "ignore" and g.value == ["split"] for g in found.guesses)


def test_a_sensor_called_na_keeps_its_name(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(
        "sensor,ds,y\n" + "".join(f"{s},2026-01-0{d},{d}\n" for s in ("NA", "007", "null", "1e3") for d in range(1, 8))
    )
    assert read_csv(path).names == ("NA", "007", "null", "1e3")


def test_words_for_missing(tmp_path: Path) -> None:
    words = ["", "NA", "n/a", "NaN", "null", "None", "-", "--", "?", ".", "#N/A", "#DIV/0!", " ", "offline"]
    path = tmp_path / "t.csv"
    path.write_text("t,y,z\n" + "".join(f"{i},{w},1\n{i + 0.0:.0f}1,5,1\n" for i, w in enumerate(words, start=10)))
    panel = read_csv(path, time="row", target=["y", "z"], missing="offline")
    assert panel.values[::2, 0].isnan().all() and (panel.values[1::2, 0] == 5).all()
    with pytest.raises(InputError, match=r"t.csv:28: 'offline'"):
        read_csv(path, time="row", target=["y", "z"])


def test_blank_lines_of_a_single_column_are_missing_rows(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("value\n1\n\n3\n")
    assert read_csv(path).values[:, 0].nan_to_num(-1).tolist() == [1, -1, 3]


def test_a_line_is_counted_through_quotes_and_blanks(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text('ds,note,y\n2026-01-01,"two\nlines",1\n\n2026-01-02,x,2\n2026-01-03,"also\ntwo",bad\n')
    with pytest.raises(InputError, match=r"t.csv:6: 'bad'"):
        read_csv(path, target="y")


def test_a_header_is_found_or_missed(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("".join(f"{i}.25,{i}.5\n" for i in range(9)))
    found = understand(path)
    assert found.only().channels == ("column_1", "column_2") and len(found.only().values) == 9
    assert any(g.line().startswith("data.header=false") for g in found.guesses)
    assert read_csv(path, names=["in", "out"], header=False).channels == ("in", "out")
    path.write_text("".join(f"2026-01-0{i},{i}.5\n" for i in range(1, 9)))
    assert len(read_csv(path).values) == 8
    path.write_text("773869,767541\n" + "".join(f"{i},{i}\n" for i in range(9)))
    assert read_csv(path, header=True).channels == ("773869", "767541")


def _typed(found: Intake) -> dict[str, object]:
    """The guesses as a person would type them."""
    out = {}
    for guess in found.guesses:
        for word in shlex.split(guess.line().split(" (")[0]):
            parsed = OverridesParser.create().parse_override(word)
            out[str(parsed.key_or_group).removeprefix("data.")] = parsed.value()
    return out


@pytest.mark.parametrize(
    "text",
    [
        "KPI ID,timestamp,value,label,split\n" + "".join(f"k,{1472918400 + 300 * i},{i % 5},{int(i > 30)},train\n" for i in range(40)),
        "Datum;Durchfluss\n" + "".join(f"{d:02d}.01.2026;1.{d:03d},5\n" for d in range(1, 29)),
        "No,year,month,day,hour,pm,wind\n" + "".join(f"{h},2026,1,{1 + h // 24},{h % 24},{h}.5,NW\n" for h in range(48)),
        "Date,Time,flow\n" + "".join(f"01/{d}/2026,12:00,{d}\n" for d in range(10, 29)),
        "".join(f"{i}.25,{i}.5\n" for i in range(20)),
        "date,x,y,z\n" + "".join(f"202601{d:02d},{d},{d},{d}\n" for d in range(1, 31)),
        "where,when,y\n" + "".join(f"{w},2026-01-{d:02d},{d}\n" for w in ("north", "south") for d in range(1, 20)),
        "ds,load\nh,kW\n" + "".join(f"2026-01-{d:02d},{d}\n" for d in range(1, 20)),
    ],
)  # fmt: skip
def test_every_guess_can_be_typed_back(text: str, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    found = understand(path)
    typed = _typed(found)
    again = understand(path, ReadOptions.of(**typed))
    assert typed and equal(found.only(), again.only())
    assert not again.guesses


def test_two_clocks_are_two_panels(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    hourly = [("h", t, 1.0) for t in pd.date_range("2026-01-01", periods=30, freq="h")]
    daily = [(n, t, 2.0) for n in ("d", "e") for t in pd.date_range("2026-01-01", periods=30, freq="D")]
    pd.DataFrame(hourly + daily, columns=["unique_id", "ds", "y"]).to_csv(path, index=False)
    panels = read(path)
    assert [(p.names, p.clock.step) for p in panels] == [(("d", "e"), "D"), (("h",), "h")]
    with pytest.raises(InputError, match=r"2 clocks: D \('d', 'e'\), h \('h'\)"):
        read_csv(path)


def test_frames_long_and_wide(tmp_path: Path) -> None:
    frame = table()
    assert equal(read_frame(frame), read_frame(frame.set_index("ds")))
    assert equal(read_frame(frame), read_frame(frame.set_index("ds").rename_axis(None)))
    long = frame.melt("ds", var_name="unique_id", value_name="y").dropna()
    assert equal(read_frame(long), read_frame(frame, layout="columns"))
    periods = pd.DataFrame({"ds": pd.period_range("2020-01", periods=30, freq="M"), "y": np.arange(30.0)})
    assert read_frame(periods).clock.step == "MS"
    with pytest.raises(InputError, match="the frame: row 2: inf in column 'y'"):
        read_frame(pd.DataFrame({"y": [1.0, np.inf, 2.0]}))


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match=r"unknown option 'data.tmie'; did you mean 'data.time'"):
        read_csv("x.csv", tmie="ds")
    with pytest.raises(InputError, match=r"unknown data.repeated 'lst'; did you mean 'last'"):
        read_csv("x.csv", repeated="lst")
    with pytest.raises(InputError, match=r"data.resample=7x is no step"):
        read_csv("x.csv", resample="7x")
    with pytest.raises(InputError, match=r"did you mean 'Europe/Berlin'"):
        read_frame(table(), timezone="Europe/Berlim")
    assert ReadOptions.of(clock="1H", delimiter="tab", season=24).clock == "1h"
    assert ReadOptions.of(delimiter="tab").delimiter == "\t"


def test_real_files_give_their_numbers_to_the_last_bit(real_data: Path) -> None:
    path = real_data / "ett" / "ETTh1.csv.gz"
    panel = read_csv(path)
    frame = pd.read_csv(path, dtype=str)
    numbers = [[float(text) for text in row] for row in frame.drop(columns="date").to_numpy()]  # correctly rounded
    assert np.array_equal(panel.values.numpy(), np.array(numbers))
    assert (panel.times(0) == pd.to_datetime(frame["date"])).all() and panel.seasons == (24,)
    co2 = read_csv(real_data / "classic" / "co2.csv.gz")
    assert (co2.clock.step, len(co2.values), str(co2.times(0)[0].date())) == ("W-SAT", 2284, "1958-03-29")
    hourly = read_csv(real_data / "m4" / "m4_hourly.csv.gz")
    assert (len(hourly), len(hourly.values), hourly.seasons) == (414, 373372, (24, 168))
