"""Tasks of memory: answers follow from the rows by a plain reading; a layer that can learns, a table is left."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from forecast.experiment.benchmark.memory import Choice, Reader, trial
from forecast.experiment.benchmark.memory_tasks import ALPHABET, KEPT, PAIRS, TASKS
from forecast.report.tasks import solved
from tests.experiment.line import forecast

CHOICE = Choice(("delay",), ("lstm",), (8,), 1, 24, 500, 32, 1e-2, 1, 0.9)


def drawn(word: str, length: int = 30) -> "list[tuple[list[int], list[int], list[bool]]]":
    batch = TASKS[word].draw(20, length, torch.Generator().manual_seed(0))
    said = batch.rows.argmax(-1)
    return list(zip(said.tolist(), batch.target.tolist(), batch.asked.tolist(), strict=True))


@pytest.mark.parametrize("word", ["copying", "selective_copying"])
def test_copies_are_the_tokens_in_their_order(word: str) -> None:
    for said, target, asked in drawn(word):
        tokens = [token - 2 for token in said if token >= 2]
        assert [answer for answer, is_asked in zip(target, asked, strict=True) if is_asked] == tokens
        assert len(tokens) == KEPT and said[-KEPT:] == [1] * KEPT
        assert word == "selective_copying" or said[:KEPT] == [token + 2 for token in tokens]


def test_induction_answers_with_what_followed_the_mark() -> None:
    for said, target, asked in drawn("induction"):
        first = said.index(ALPHABET)
        assert asked == [False] * 29 + [True] and said[-1] == ALPHABET and target[-1] == said[first + 1]


def test_recall_answers_each_key_with_its_value() -> None:
    for said, target, asked in drawn("recall"):
        pairs = dict(zip(said[0 : 2 * PAIRS : 2], said[1 : 2 * PAIRS : 2], strict=True))
        assert len(pairs) == PAIRS and sum(asked) == PAIRS
        for token, answer, is_asked in zip(said[2 * PAIRS :], target[2 * PAIRS :], asked[2 * PAIRS :], strict=True):
            assert is_asked == (token != 0)
            if is_asked:
                assert answer == pairs[token] - 2 - ALPHABET


def test_numbers_are_those_of_the_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    adding = TASKS["adding"].draw(5, 10, generator)
    assert torch.allclose((adding.rows[..., 0] * adding.rows[..., 1]).sum(1), adding.target[:, -1])
    assert adding.rows[..., 1].sum(1).tolist() == [2.0] * 5 and adding.asked.sum(1).tolist() == [1] * 5
    delay = TASKS["delay"].draw(5, 10, generator)
    assert torch.equal(delay.target[:, 5:], delay.rows[:, :5, 0]) and delay.asked.sum(1).tolist() == [5] * 5


@pytest.mark.parametrize("layer", ["s4", "s4d", "s5"])
def test_step_sizes_start_where_the_length_asks_for_it(layer: str) -> None:
    torch.manual_seed(0)
    steps = {name: w for name, w in Reader(TASKS["delay"], layer, 2, 256, 40).named_parameters() if "log_step" in name}
    assert len(steps) == 2
    for step in (weight.detach().exp() for weight in steps.values()):
        assert 1 / 80 <= float(step.min()) < 1 / 70 and 0.4 < float(step.max()) <= 0.5


@pytest.mark.slow
def test_what_can_be_learned_is_learned_and_noise_is_not() -> None:
    assert trial(TASKS["delay"], "lstm", 8, CHOICE, 0)[0] > 0.9
    noise = TASKS["delay"]._replace(
        draw=lambda n, t, g: TASKS["delay"].draw(n, t, g)._replace(target=torch.randn(n, t, generator=g))
    )
    assert trial(noise, "lstm", 8, CHOICE, 0)[0] < 0.1


def test_the_verb_leaves_a_table() -> None:
    words = [
        "benchmark=memory",
        "benchmark.tasks=[delay,recall]",
        "benchmark.layers=[s4d]",
        "benchmark.lengths=[12]",
        "benchmark.steps=2",
    ]
    said = forecast("benchmark", *words, "benchmark.width=8", "tracking=none")
    assert said.code == 0, said.err
    made = pd.read_csv("outputs/benchmark/latest/results.csv")
    assert Path("outputs/benchmark/latest/memory.png").read_bytes()[:4] == b"\x89PNG"
    assert set(made["case"]) == {"delay 12 0", "recall 12 0"} and set(made["unit"]) == {"right", "steps", "cpu_s"}
    assert made.loc[made["unit"] == "right", "value"].between(0, 1).all()
    assert (
        "needs sequences of 16 rows"
        in forecast("benchmark", "benchmark=memory", "benchmark.lengths=[12]", "tracking=none").err
    )
    assert (
        "unknown layer 's4e'"
        in forecast("benchmark", "benchmark=memory", "benchmark.layers=[s4e]", "tracking=none").err
    )


def test_a_longer_sequence_is_tried_where_the_shorter_one_was_learned_and_every_seed_is_a_case() -> None:
    words = [
        "benchmark=memory",
        "benchmark.tasks=[delay]",
        "benchmark.layers=[s4d]",
        "benchmark.steps=2",
        "tracking=none",
    ]
    words += ["benchmark.width=8", "benchmark.lengths=[12,8]", "seed=3"]
    for climb, seeds, cases in (
        (1.1, 1, ["delay 8 3"]),
        (0.0, 2, ["delay 8 3", "delay 12 3", "delay 8 4", "delay 12 4"]),
    ):
        said = forecast("benchmark", *words, f"benchmark.climb={climb}", f"benchmark.seeds={seeds}")
        assert said.code == 0, said.err
        made = pd.read_csv("outputs/benchmark/latest/results.csv")
        assert list(made.loc[made["unit"] == "right", "case"]) == cases
    assert "benchmark.seeds: at least 1" in forecast("benchmark", *words, "benchmark.seeds=0").err


def test_the_picture_has_a_group_of_lengths_for_each_task_and_the_best_layer_on_top() -> None:
    rows = [
        ("delay 64 0", "a", 0.9),
        ("delay 8 0", "a", 0.2),
        ("delay 8 1", "a", 0.6),
        ("selective_copying 8 0", "a", 0.5),
        ("delay 8 0", "b", 0.99),
        ("delay 8 1", "b", 0.97),
        ("selective_copying 8 0", "b", 1.0),
    ]
    figures = pd.DataFrame(
        [("memory", *row, "right") for row in rows], columns=["suite", "case", "subject", "value", "unit"]
    )
    ax = solved(figures).axes[0]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["b", "a"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["8", "64", "8"]
    said = [text.get_text() for text in ax.texts]
    assert said == ["0.98", "–", "1.00", "0.40", "0.20…0.60", "0.90", "0.50", "delay", "selective\ncopying"]
