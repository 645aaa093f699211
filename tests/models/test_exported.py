"""The exported file: what NumPy says of it is what torch says of the model, row by row, and no torch is imported."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats
from torch import Tensor

from forecast.distribution import Quantiles, StudentT
from forecast.errors import InputError
from forecast.layers.blocks import LAYERS
from forecast.models import exported
from forecast.models.deep import DeepState
from forecast.models.naive import Naive
from forecast.models.seasonal_lti import SeasonalLTI
from forecast.models.stack import StackForecaster
from forecast.portable import load
from forecast.types import Future, Row
from tests.laws.bench import difference, past_of


def trained(words: tuple[str, ...], kind: type[StackForecaster] = StackForecaster, **options: object) -> StackForecaster:
    """A small model whose every part says something."""
    torch.manual_seed(0)
    shape = {"horizon": 6, "seasons": (4, 12), "channels": 2, "inputs": 2, "static": 1}
    deep = {"blocks": words, "every": 3, "width": 32} if kind is StackForecaster else {}
    model = kind(**(shape | deep | options))  # type: ignore[arg-type]
    for weight in model.state_dict().values():
        if weight.is_floating_point() and not bool(weight.any()):
            weight.normal_(0.0, 0.1)
    return model.eval()


CASES = [(), *[(word,) for word in sorted(LAYERS)], ("s4d", "window_attention", "mamba")]


@pytest.mark.parametrize("words", CASES, ids="+".join)
def test_every_row_and_forecast_is_that_of_torch(words: tuple[str, ...], tmp_path: Path) -> None:
    compare(trained(words), tmp_path)


@pytest.mark.parametrize(
    ("kind", "output"), [(SeasonalLTI, "quantiles"), (SeasonalLTI, "student_t"), (StackForecaster, "student_t")]
)
def test_so_it_is_of_profiles_and_of_the_student_output(kind: type[StackForecaster], output: str, tmp_path: Path) -> None:
    model = trained(("s4d",), kind, output=output)
    model.head.stretch.copy_(torch.tensor([0.7, 1.6]))
    compare(model, tmp_path)


def compare(model: StackForecaster, tmp_path: Path) -> None:
    """A hundred rows with gaps, at uneven times, of series that begin at different ones; forecasts on both kinds of clock."""
    exported.write(tmp_path / "model.npz", model)
    machine = load(tmp_path / "model.npz", batch=3)
    past = past_of(model, rows=100, gaps=0.2)
    past.values[1, :9] = torch.nan
    elapsed = torch.ones(3, 100, dtype=torch.float64)
    elapsed[:, 40:60] = torch.rand(3, 20, dtype=torch.float64) * 3
    past = past._replace(elapsed=elapsed)
    machine.known = past.static.numpy()
    future = Future(torch.randn(3, 6, 2, dtype=torch.float64), torch.ones(3, 6, dtype=torch.float64))
    scale = float(past.values.nan_to_num(nan=0.0).std())
    state = model.initial_state((), past.static)
    with torch.no_grad():
        for row in past.each():
            state = model.step(state, row)
            machine.step(
                row.values.numpy(), row.inputs.numpy(), None if bool((row.elapsed == 1).all()) else row.elapsed.numpy()
            )
            said = machine.predict(6, future.inputs.numpy())
            assert close(said, quantiles(model, state, future), scale)
        uneven = future._replace(elapsed=torch.rand(3, 6, dtype=torch.float64) * 2)
        said = machine.predict(6, uneven.inputs.numpy(), uneven.elapsed.numpy())
        assert close(said, quantiles(model, state, uneven), scale)
    for mine, theirs in zip(machine.copy_state(), exported.lanes(state), strict=True):
        assert np.allclose(mine, theirs, atol=1e-4, rtol=1e-4, equal_nan=True) and mine.shape == theirs.shape


def close(said: NDArray[np.float64], wanted: Tensor, scale: float) -> bool:
    """Whether both are the same to 1e-5 of the data's spread, or of what is said where that is wider."""
    return difference(torch.from_numpy(said), wanted) <= 1e-5 * max(scale, float(wanted.nan_to_num(nan=0.0).std()))


def quantiles(model: StackForecaster, state: DeepState, future: Future) -> Tensor:
    """(B H C Q) at the levels of the head; those of Student's t by scipy."""
    made = model.predict(state, future)
    if isinstance(made, Quantiles):
        return made.values
    assert isinstance(made, StudentT)
    standard = torch.from_numpy(stats.t.ppf(model.head.levels, float(made.df.flatten()[0])))
    return made.loc[..., None] + made.scale[..., None] * standard


@pytest.mark.parametrize("kind", [StackForecaster, SeasonalLTI])
def test_it_goes_on_from_the_states_it_was_exported_with(kind: type[StackForecaster], tmp_path: Path) -> None:
    model = trained(("s4d", "window_attention"), kind, inputs=0)
    past = past_of(model, rows=60)
    with torch.no_grad():
        state = model.warm_up(model.initial_state((), past.static), past)
        exported.write(tmp_path / "model.npz", model, state)
        after = model.step(state, Row(past.values[:, 5], past.inputs[:, 5], past.elapsed[:, 5]))
        wanted = quantiles(model, after, Future.of(past, 6))
    machine = load(tmp_path / "model.npz")
    kept = machine.copy_state()
    for _ in range(2):  # a state can be put back
        machine.step(past.values[:, 5].numpy())
        assert difference(torch.from_numpy(machine.predict(6)), wanted) <= 1e-5 * float(
            past.values.nan_to_num(nan=0.0).std()
        )
        machine.put_state(kept)


def test_the_state_does_not_grow_and_leaves_are_plain_numbers(tmp_path: Path) -> None:
    exported.write(tmp_path / "model.npz", trained(("attention",), inputs=0, static=0))
    machine = load(tmp_path / "model.npz", batch=1)
    size = sum(part.nbytes for part in machine.state)
    for value in np.random.default_rng(0).normal(size=(50, 1, 2)):
        machine.step(value)
    assert sum(part.nbytes for part in machine.state) == size
    assert all(part.dtype.kind in "fib" for part in machine.state)


def test_two_writes_are_the_same_bytes_and_a_damaged_file_is_refused(tmp_path: Path) -> None:
    model, file = trained(("s4d",)), tmp_path / "model.npz"
    exported.write(file, model)
    content = file.read_bytes()
    exported.write(file, model)
    assert file.read_bytes() == content
    at = content.index(b"NUMPY") + 400
    for broken in (content[:-100], content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :], b"no zip"):
        file.write_bytes(broken)
        with pytest.raises(InputError, match="not a file of `forecast export`"):
            load(file)


def test_files_of_the_formats_before_are_read(tmp_path: Path) -> None:
    exported.write(tmp_path / "new.npz", trained(("s4d",), inputs=0, static=0))
    with np.load(tmp_path / "new.npz") as found:
        arrays = dict(found)
    header = json.loads(arrays.pop("header").tobytes())
    del header["profile"], header["head"]["reach"]
    said = []
    for number in (4, 3, 2, 5):
        text = json.dumps(header | {"portable": number}).encode()
        np.savez(tmp_path / "old.npz", header=np.frombuffer(text, np.uint8), **arrays)
        if number > 4:
            with pytest.raises(InputError, match="written in another format than 4"):
                load(tmp_path / "old.npz")
            break
        machine = load(tmp_path / "old.npz", batch=1)
        for value in np.random.default_rng(0).normal(size=(9, 1, 2)):
            machine.step(value)
        said.append(machine.predict(6))
    assert np.isfinite(said[0]).all() and all(np.array_equal(said[0], other) for other in said[1:])


def test_a_profile_of_the_format_before_is_refused(tmp_path: Path) -> None:
    exported.write(tmp_path / "new.npz", trained((), SeasonalLTI, inputs=0, static=0))
    with np.load(tmp_path / "new.npz") as found:
        arrays = dict(found)
    header = json.loads(arrays.pop("header").tobytes())
    np.savez(tmp_path / "old.npz", header=np.frombuffer(json.dumps(header | {"portable": 3}).encode(), np.uint8), **arrays)
    with pytest.raises(InputError, match="written in another format than 4; export it"):
        load(tmp_path / "old.npz")


def test_a_member_without_layers_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be exported"):
        exported.write(tmp_path / "model.npz", Naive.example())


def test_no_torch_is_imported(tmp_path: Path) -> None:
    exported.write(tmp_path / "model.npz", trained(("s4d",), inputs=0, static=0))
    code = (
        "import sys; from forecast.portable import load; import numpy as np\n"
        f"m = load({str(tmp_path / 'model.npz')!r}, batch=1)\n"
        "for i in range(9): m.step(np.array([[i, -i]]))\n"
        "assert np.isfinite(m.predict(2)).all() and not {'torch', 'lightning', 'pandas'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
