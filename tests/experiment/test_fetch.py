"""The verb `fetch`: terms, agreement, then the files; for the download itself see tests/series/test_fetch.py."""

import http.server
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from forecast.experiment import data
from forecast.series import catalogue
from tests.experiment.line import forecast


@pytest.fixture
def mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A mirror of the package's own data folder, an empty cache, and no data set that is here already."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None: ...

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("FORECAST_DATA", raising=False)
    monkeypatch.chdir(tmp_path)
    real = catalogue.packaged()
    (tmp_path / "bare").mkdir()
    shutil.copy(real / "catalogue.json", tmp_path / "bare")
    monkeypatch.setattr(catalogue, "packaged", lambda: tmp_path / "bare")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=real)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_data_set_is_fetched_into_the_cache(mirror: str) -> None:
    said = forecast("fetch", "name=nile", f"url={mirror}", "accept=true")
    assert said.code == 0, said.err
    assert "licence: public domain" in said.out
    assert said.out.index("licence") < said.out.index(str(data.cache()))
    assert (data.cache() / "nile.csv").read_text().startswith("ds,volume\n1871")
    assert " here " in next(line for line in forecast("fetch").out.splitlines() if line.startswith("nile"))


def test_nothing_is_fetched_without_agreement(mirror: str) -> None:
    said = forecast("fetch", "name=nile", f"url={mirror}")
    assert said.code == 2
    assert "sha256" in said.out
    assert said.err == "forecast: nothing was fetched; to agree: forecast fetch name=nile accept=true\n"
    assert not data.cache().exists()


def test_a_misspelt_name_gets_a_suggestion(mirror: str) -> None:
    assert forecast("fetch", "name=nil").err == "forecast: unknown data set 'nil'; did you mean 'nile'?\n"


def test_the_catalogue_is_listed(mirror: str) -> None:
    said = forecast("fetch")
    lines = {line.split()[0]: line for line in said.out.splitlines()}
    assert set(lines) == set(catalogue.catalogue())
    assert "from a mirror" in lines["nile"] and "to fetch" in lines["etth1"] and "from a mirror" in lines["m4_hourly"]
    assert "CC BY-ND" in lines["etth1"]


def test_folders_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORECAST_DATA", "/some/where")
    monkeypatch.setenv("XDG_CACHE_HOME", "/the/cache")
    assert data.folders() == (Path("/some/where"), Path("/the/cache/forecast"))
    monkeypatch.delenv("FORECAST_DATA")
    assert data.folders() == (Path("/the/cache/forecast"),)
