"""The public names: all there, all lazy."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import forecast


def test_every_public_name_is_there() -> None:
    assert dir(forecast) == sorted(forecast.__all__)
    assert set(forecast.HOMES) | {"__version__"} == set(forecast.__all__)
    for name, home in forecast.HOMES.items():
        assert getattr(forecast, name) is getattr(sys.modules[home], name)
    assert forecast.__version__ == version("forecast")


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'forecast' has no attribute 'predikt'"):
        _ = forecast.predikt


def test_importing_the_package_imports_nothing_else() -> None:
    ours = "m.startswith('forecast') or m in ('torch', 'pandas', 'numpy')"
    code = f"import forecast, sys; print(sorted(m for m in sys.modules if {ours}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "['forecast']\n"
