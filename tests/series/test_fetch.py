"""Fetching from a server on this machine: cut connections, resumption, wrong content, servers without ranges."""

import contextlib
import gzip
import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from forecast.errors import ForecastError, InputError
from forecast.series.catalogue import Entry, File, catalogue
from forecast.series.fetch import fetch, terms

TEXT = b"".join(b"%d,%d\n" % (i, i * i) for i in range(60_000))


class Server(http.server.BaseHTTPRequestHandler):
    """Serves `content`, honours ranges if `ranges`, and cuts each answer after `cut` bytes."""

    content: ClassVar[bytes] = TEXT
    ranges: ClassVar[bool] = True
    cut: ClassVar[int | None] = None
    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted and self.ranges else 0
        if start >= len(self.content):
            self.send_error(416)
            return
        body = self.content[start:]
        self.send_response(206 if wanted and self.ranges else 200)
        if wanted and self.ranges:
            self.send_header("Content-Range", f"bytes {start}-{len(self.content) - 1}/{len(self.content)}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(body if self.cut is None else body[: self.cut])

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Server.content, Server.ranges, Server.cut, Server.asked = TEXT, True, None, []
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def registry(url: str | None, path: str = "made/squares.csv.gz") -> dict[str, Entry]:
    file = File(path, len(TEXT), hashlib.sha256(TEXT).hexdigest(), url)
    return {"squares": Entry("squares", "Squares", "public domain", "arithmetic", (file,))}


def test_terms_come_first_then_the_file(server: str, tmp_path: Path) -> None:
    told: list[str] = []
    (path,) = fetch(
        "squares",
        registry(f"{server}/squares.csv"),
        tmp_path,
        tell=lambda text: told.append(f"{len(Server.asked)} {text}"),
    )
    assert path == tmp_path / "made/squares.csv" and path.read_bytes() == TEXT
    assert len(told) == 1 and told[0].startswith("0 squares: Squares")
    for word in (
        "public domain",
        "arithmetic",
        hashlib.sha256(TEXT).hexdigest(),
        f"{server}/squares.csv",
        f"{len(TEXT):,} bytes",
    ):
        assert word in told[0]
    assert not list(tmp_path.rglob("*.part"))


def test_a_compressed_copy_is_the_same_file(server: str, tmp_path: Path) -> None:
    Server.content = gzip.compress(TEXT, mtime=7)
    (path,) = fetch("squares", registry(f"{server}/squares.csv.gz"), tmp_path)
    assert path == tmp_path / "made/squares.csv.gz" and gzip.decompress(path.read_bytes()) == TEXT


def test_what_is_there_is_not_fetched_again(server: str, tmp_path: Path) -> None:
    for _ in range(2):
        (path,) = fetch("squares", registry(f"{server}/squares.csv"), tmp_path)
    assert len(Server.asked) == 1
    path.write_bytes(b"damaged")
    fetch("squares", registry(f"{server}/squares.csv"), tmp_path)
    assert path.read_bytes() == TEXT


def test_cut_connection_goes_on_where_it_stopped(server: str, tmp_path: Path) -> None:
    Server.cut = 100_000
    (path,) = fetch("squares", registry(f"{server}/squares.csv"), tmp_path)
    assert path.read_bytes() == TEXT
    assert [wanted for _, wanted in Server.asked] == [None] + [
        f"bytes={n}-" for n in range(100_000, len(TEXT), 100_000)
    ]


def test_the_next_call_resumes_a_killed_one(server: str, tmp_path: Path) -> None:
    part = tmp_path / "made/squares.csv.gz.part"
    part.parent.mkdir()
    part.write_bytes(TEXT[:54_321])
    seen: list[int] = []
    (path,) = fetch(
        "squares",
        registry(f"{server}/a"),
        tmp_path,
        progress=lambda _, done, total: seen.append(done if total == len(TEXT) else -1),
    )
    assert path.read_bytes() == TEXT
    assert Server.asked == [("/a", "bytes=54321-")] and min(seen) > 54_321 and max(seen) == len(TEXT)


def test_a_whole_part_needs_no_more_bytes(server: str, tmp_path: Path) -> None:
    part = tmp_path / "made/squares.csv.gz.part"
    part.parent.mkdir()
    part.write_bytes(TEXT)
    (path,) = fetch("squares", registry(f"{server}/a"), tmp_path)
    assert path.read_bytes() == TEXT


def test_server_without_ranges_sends_everything_anew(server: str, tmp_path: Path) -> None:
    Server.ranges = False
    part = tmp_path / "made/squares.csv.gz.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 54_321)
    (path,) = fetch("squares", registry(f"{server}/a"), tmp_path)
    assert path.read_bytes() == TEXT


def test_no_progress_is_an_error_that_keeps_the_part(server: str, tmp_path: Path) -> None:
    Server.cut = 0
    part = tmp_path / "made/squares.csv.gz.part"
    part.parent.mkdir()
    part.write_bytes(TEXT[:1000])
    with pytest.raises(
        ForecastError, match=r"stopped after 1,000 bytes \(the connection was cut\); run the same command again"
    ):
        fetch("squares", registry(f"{server}/a"), tmp_path)
    assert part.read_bytes() == TEXT[:1000]


@pytest.mark.parametrize(
    "content", [TEXT[:-1], TEXT + b"1", TEXT.replace(b"49\n", b"50\n", 1), gzip.compress(TEXT)[:-9] + b"123456789"]
)
def test_wrong_content_is_refused_and_not_kept(content: bytes, server: str, tmp_path: Path) -> None:
    Server.content = content
    with pytest.raises(InputError, match="not kept"):
        fetch("squares", registry(f"{server}/a"), tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == []


def test_an_endless_answer_is_stopped(server: str, tmp_path: Path) -> None:
    Server.content = TEXT * 10
    with pytest.raises(InputError, match="not kept"):
        fetch("squares", registry(f"{server}/a"), tmp_path)


def test_a_bomb_is_another_file(server: str, tmp_path: Path) -> None:
    Server.content = gzip.compress(bytes(500_000_000), 1)
    with pytest.raises(InputError, match="not kept"):
        fetch("squares", registry(f"{server}/a"), tmp_path)


def test_mirror_serves_what_has_no_address(server: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="give url= of a mirror"):
        fetch("squares", registry(None), tmp_path)
    Server.content = gzip.compress(TEXT)
    fetch("squares", registry(None), tmp_path, mirror=f"{server}/data/")
    assert Server.asked == [("/data/made/squares.csv.gz", None)]


def test_errors_for_people(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="did you mean 'squares'"):
        fetch("square", registry(None), tmp_path)
    with pytest.raises(InputError, match="only http and https"):
        fetch("squares", registry("file:///etc/hostname"), tmp_path)
    with pytest.raises(ForecastError, match="run the same command again"):
        fetch("squares", registry("http://127.0.0.1:9/a"), tmp_path)


def test_not_found_says_so(server: str, tmp_path: Path) -> None:
    Server.content = b""
    with pytest.raises(ForecastError, match="answered 416"):
        fetch("squares", registry(f"{server}/a"), tmp_path)


def test_terms_of_every_set_name_the_licence() -> None:
    for entry in catalogue().values():
        assert entry.licence in terms(entry) and all(file.sha256 in terms(entry) for file in entry.files)


def test_a_fetched_set_loads(server: str, tmp_path: Path, real_data: Path) -> None:
    from forecast.series.catalogue import load

    Server.content = (real_data / "ett/ETTh2.csv.gz").read_bytes()
    fetch("etth2", catalogue(), tmp_path, mirror=server)
    assert len(load("etth2", [tmp_path])[0].panel.values) == 17420
