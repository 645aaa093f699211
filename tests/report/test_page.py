"""A page stands alone, shows every name as it is, and is readable when models fail or nothing can be told."""

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from forecast.errors import InputError
from forecast.report import page, training
from tests.report.bench import NASTY, folder

LIMIT = 5_000_000
LOADS = ("src", "href", "xlink:href", "action", "data", "poster", "srcset")


class Reader(HTMLParser):
    """What a browser sees: elements with their attributes, and the text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(self.words)


def drawn(where: Path) -> Reader:
    text = page.write(where).read_text(encoding="utf-8")
    assert len(text.encode()) < LIMIT
    return Reader(text)


def assert_alone(reader: Reader) -> None:
    """Nothing is loaded or run."""
    for tag, attributes in reader.elements:
        assert tag not in ("script", "iframe", "object", "embed", "link", "img"), tag
        for name, value in attributes.items():
            assert not name.startswith("on"), name
            assert name not in LOADS or (value or "").startswith(("#", "data:image/png;base64,")), (tag, name, value)
            assert not re.search(r"url\((?!#)", value or ""), value
    assert "@import" not in reader.text and not re.search(r"url\((?!#)", reader.text)


def test_page_stands_alone(tmp_path: Path) -> None:
    reader = drawn(folder(tmp_path, series=("a", "b", "c"), cutoffs=20))
    assert_alone(reader)
    figures = [attributes for tag, attributes in reader.elements if tag == "figure"]
    assert len(figures) >= 8
    assert all(a["role"] == "img" and len(a["aria-label"] or "") > 20 for a in figures)
    titles = ["Which model", "The forecast beside what happened", "Do the intervals hold", "Error by lead"]
    titles += ["Error by weekday and hour", "Every cutoff", "Which series are hard", "What is left in the errors"]
    assert all(title in reader.text for title in titles)
    assert "1 of 2 models are better than seasonal naive by MASE: ridge." in reader.text
    assert not re.search(r"\d\.\d{5,}(?!\d*e)", " ".join(w for w in reader.words if "{" not in w)), "a raw float"


def test_names_are_shown_literally(tmp_path: Path) -> None:
    reader = drawn(folder(tmp_path, series=NASTY, models=("<b>ridge</b>", "seasonal_naive", "_y", "$z$"), cutoffs=8))
    assert_alone(reader)
    for name in NASTY:
        assert " ".join(name.split()) in " ".join(reader.text.split()), name
    for name in ("<b>ridge</b>", "_y", "$z$"):
        assert reader.words.count(name) + reader.words.count(f"\u200b{name}") >= 2, "in a picture and in a table"
    assert "49" not in reader.words


@pytest.mark.parametrize("failed", [("naive",), ("seasonal_naive",), ("ridge", "seasonal_naive", "naive")])
def test_failed_models_are_named(tmp_path: Path, failed: tuple[str, ...]) -> None:
    reader = drawn(folder(tmp_path, failed=failed))
    assert f"No forecast to score from {', '.join(failed)}." in reader.text
    assert f"{failed[0]} failed 2 times" in reader.text
    assert not re.search(r"\bnan\b", reader.text.lower())


def test_nothing_can_be_told(tmp_path: Path) -> None:
    reader = drawn(folder(tmp_path, series=("a",), cutoffs=1, told=False))
    assert "whether by chance cannot be told" in reader.text
    assert "no interval can be drawn" in reader.text
    assert "Every cutoff" not in reader.text and "Which series are hard" not in reader.text


@pytest.mark.parametrize("clock", [None, "MS", "D", "7min"])
def test_every_clock(tmp_path: Path, clock: str | None) -> None:
    reader = drawn(folder(tmp_path, clock=clock, cutoffs=60 if clock == "D" else 10, series=("a",)))
    assert ("Error by weekday and month" in reader.text) == (clock == "D")


def test_no_reference_and_one_row_ahead(tmp_path: Path) -> None:
    reader = drawn(folder(tmp_path, models=("ridge", "ets"), horizon=1))
    assert "ridge comes first of 2 by MASE" in reader.text


def test_many_series(tmp_path: Path) -> None:
    names = tuple(f"series {k}" for k in range(414))
    reader = drawn(folder(tmp_path, series=names, models=("ridge", "seasonal_naive"), cutoffs=1, horizon=8))
    assert "200 of 414 rows; all of them stand in scores.parquet." in reader.text


def test_a_model_whose_trained_weights_are_not_kept_says_so(tmp_path: Path) -> None:
    made = folder(tmp_path, models=("ridge", "s4d", "seasonal_naive"))
    assert "not kept" not in drawn(made).text
    summary = json.loads((made / "summary.json").read_text())
    (made / "summary.json").write_text(json.dumps(summary | {"notes": {"s4d": "trained weights not kept"}}))
    text = drawn(made).text
    assert "s4d (trained weights not kept)" in text and "The trained weights of s4d gain nothing" in text


def test_same_tables_same_page(tmp_path: Path) -> None:
    first = page.write(folder(tmp_path, series=("a",), cutoffs=2)).read_bytes()
    assert page.write(tmp_path).read_bytes() == first


def test_missing_table_is_named(tmp_path: Path) -> None:
    (folder(tmp_path) / "cost.csv").unlink()
    with pytest.raises(InputError, match=r"cost\.csv is not there"):
        page.write(tmp_path)


SUMMARY = """{"model": "<s4d>", "data": "a", "sha256": "0f", "weights": 12, "steps": 30, "epochs": 3, "cpu_s": 1.5,
"best_validation_loss": %s, "version": "0", "created": "now"}"""


def losses(where: Path, training_loss: list[float], validation_loss: list[float | None]) -> None:
    columns = {
        "epoch": range(1, len(training_loss) + 1),
        "training_loss": training_loss,
        "validation_loss": validation_loss,
    }
    pd.DataFrame(columns).to_csv(where / "losses.csv", index=False)


def test_training(tmp_path: Path) -> None:
    losses(tmp_path, [3.0, 2.0, 1.0], [2.5, 1.5, 1.75])
    (tmp_path / "summary.json").write_text(SUMMARY % "1.5")
    reader = Reader(training.write(tmp_path).read_text())
    assert_alone(reader)
    assert "<s4d>: best validation loss 1.500, after epoch 2 of 3" in reader.text
    assert "weights kept" in reader.text
    (tmp_path / "summary.json").write_text((SUMMARY % "1.5").replace("}", ', "note": "trained weights not kept"}'))
    text = Reader(training.write(tmp_path).read_text()).text
    assert "<s4d>: trained weights not kept: they gain nothing on the validation rows (loss 1.500 before" in text
    assert "not kept" in text and "weights kept" not in text


def test_training_without_validation(tmp_path: Path) -> None:
    losses(tmp_path, [3.0, 2.0], [None, None])
    (tmp_path / "summary.json").write_text(SUMMARY % "null")
    text = Reader(training.write(tmp_path).read_text()).text
    assert "too few rows to validate" in text and "weights kept" not in text


def test_estimated_only(tmp_path: Path) -> None:
    losses(tmp_path, [], [])
    (tmp_path / "summary.json").write_text((SUMMARY % "null").replace('"weights": 12', '"weights": 0'))
    assert "it has no weights to train" in Reader(training.write(tmp_path).read_text()).text
