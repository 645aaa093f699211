"""A law that cannot fail is no law: one planted bug per law turns it red, and the same member without the bug passes them all."""

import pytest
import torch

from forecast import artefact
from tests.laws import mutants
from tests.laws.laws import LAWS, NEEDS

PLANTED = {
    "law_01_whole_is_chunks_is_steps": mutants.WarmsUpDifferently,
    "law_01_trace_is_a_loop_of_predict_and_step": mutants.LooksAhead,
    "law_02_no_look_ahead": mutants.LooksAhead,
    "law_03_scale": mutants.HasAUnit,
    "law_03_shift": mutants.HasAnOrigin,
    "law_04_missing_is_not_zero": mutants.ReadsGapsAsZero,
    "law_04_padding_is_invisible": mutants.CountsPadding,
    "law_04_a_missing_row_is_elapsed_time": mutants.CountsRows,
    "law_05_company": mutants.SharesAMean,
    "law_05_states_of_some_series": mutants.SharesAMean,
    "law_05_quantiles_do_not_cross": mutants.Crosses,
    "law_06_precision_in_is_precision_out": mutants.Widens32,
    "law_06_no_stray_device": mutants.StaysBehind,
    "law_07_calibrated_in_closed_form": mutants.WrongTails,
    "law_07_covers_what_it_generates": mutants.Overconfident,
    "law_08_save_and_load": mutants.Forgets,
    "law_09_finite_whatever_comes": mutants.Explodes,
    "law_10_state_is_bounded": mutants.Hoards,
    "law_10_arguments_are_left_alone": mutants.Scribbles,
}


@pytest.fixture(autouse=True)
def _mutants_may_be_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artefact, "_ours", lambda name, contract: getattr(mutants, name.partition(":")[2]))


@pytest.mark.parametrize("law", LAWS)
def test_the_planted_bug_is_found(law: str) -> None:
    with torch.no_grad(), pytest.raises(AssertionError):
        LAWS[law](PLANTED[law])


@pytest.mark.parametrize("law", [law for law in LAWS if law not in NEEDS])
def test_without_the_bug_the_law_holds(law: str) -> None:
    with torch.no_grad():
        LAWS[law](mutants.Smooth)


def test_answering_without_enough_rows_is_found() -> None:
    with torch.no_grad(), pytest.raises(AssertionError):
        LAWS["law_09_finite_whatever_comes"](mutants.AlwaysAnswers)
