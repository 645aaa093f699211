"""Rows as they come: shapes, times, zones, order; everything that is not used is counted with its reason."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.errors import InputError
from forecast.watch.arrival import Arrival, Rows
from forecast.watch.columns import Roles
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk, Understood
from forecast.watch.sources.file import File
from forecast.watch.zones import Zones

T = 1_700_000_000


def parse(text: str, parser: Parser | None = None, topics: tuple[str, ...] | None = None) -> Understood:
    return (parser or Parser()).parse(Chunk(text.encode(), None, topics))


def pairs(understood: Understood) -> list[tuple[str, float]]:
    readings = understood.readings
    return [(readings.names[c], v) for c, v in zip(readings.code.tolist(), readings.value.tolist(), strict=True)]


def test_long_wide_json_and_topics_give_the_same_readings() -> None:
    long = parse(f"time,sensor,value\n{T},a,1\n{T},b,2\n")
    wide = parse(f"time;a;b\n{T};1;2\n")
    lines = parse(f'{{"time":{T},"sensor":"a","value":1}}\n{{"time":{T},"b":2}}\n')
    topics = parse(f'{{"time":{T},"value":1}}\n{{"time":{T},"value":"2"}}\n', topics=("a", "b"))
    assert [pairs(one) for one in (long, wide, lines, topics)] == [[("a", 1.0), ("b", 2.0)]] * 4
    assert all((one.readings.time == T * 1_000_000).all() for one in (long, wide, lines, topics))


def test_every_flaw_has_its_reason_and_spoils_nobody_else() -> None:
    rows = ["1e400", "inf", "-inf", "1_000", "text", "NA", "nan", ""]
    understood = parse(
        "time,sensor,value\n" + "".join(f"{T},a,{word}\n{T},b,1\n" for word in rows) + f"{T},a\nx,a,1\n5,a,1\n{T},,1\n"
    )
    reasons = Counter(one.reason for one in understood.aside)
    assert reasons == {
        "not finite": 3,
        "not a number": 2,
        "number of columns": 1,
        "no readable time": 2,
        "no sensor": 1,
    }
    assert [name for name, _ in pairs(understood)].count("b") == len(rows)
    assert sum(v != v for _, v in pairs(understood)) == 3


def test_the_fast_and_the_slow_way_agree() -> None:
    text = "time,sensor,value\n" + "".join(f"2026-01-{d:02d}T00:00:00,s{d % 3},{d / 7:.5f}\n" for d in range(1, 29))
    fast, slow = parse(text), parse(text + "bad,s0,1\n")
    assert pairs(fast) == pairs(slow)
    assert (fast.readings.time == slow.readings.time).all()
    assert [one.reason for one in slow.aside] == ["no readable time"]


def test_milliseconds_among_seconds_are_the_same_moments() -> None:
    understood = parse(f"time,sensor,value\n{T},a,1\n{T + 60}000,a,2\n{T + 120},a,3\n")
    assert (np.diff(understood.readings.time) == 60_000_000).all()


def test_a_header_may_come_again_with_other_columns() -> None:
    understood = parse(f"time,a,b\n{T},1,2\ntime,b,c,a\n{T + 60},3,4,5\n")
    assert pairs(understood) == [("a", 1), ("b", 2), ("b", 3), ("c", 4), ("a", 5)]


def test_an_hour_that_comes_twice_and_one_that_does_not_exist() -> None:
    parser = Parser(zones=Zones({"*": "Europe/Berlin"}))
    times = ["01:30", "02:00", "02:30", "02:00", "02:30", "03:00"]
    autumn = parse("time,sensor,value\n" + "".join(f"2026-10-25 {t},a,1\n" for t in times), parser)
    assert (np.diff(autumn.readings.time) == 1_800_000_000).all()
    spring = parse("".join(f"2026-03-29 {t},a,1\n" for t in ("01:30", "02:30", "03:00")), parser)
    assert (np.diff(spring.readings.time) == 1_800_000_000).all()
    assert [one.reason for one in spring.aside] == ["no such hour"]


def test_without_a_header_it_says_what_to_do() -> None:
    with pytest.raises(InputError, match=r"rows\.columns="):
        parse(f"{T},a,1\n")
    assert pairs(parse(f"{T},a,1\n", Parser(Roles(columns=("time", "sensor", "value"))))) == [("a", 1.0)]


def arrive(
    times: list[tuple[int, int]], lateness: int, cuts: list[int]
) -> tuple[list[list[tuple[int, int, int]]], list[int], list[int]]:
    """Rows released by sensor (time, value, order), and the places of late and repeated ones, taken in pieces."""
    arrival = Arrival(lateness, 8)
    arrival.grow(3)
    out: list[list[tuple[int, int, int]]] = [[], [], []]
    late, again = [], []
    edges = [0, *sorted(cut % (len(times) + 1) for cut in cuts), len(times)]
    parts = []
    for low, high in pairwise(edges):
        who, stamps = (np.array([row[i] for row in times[low:high]], dtype=np.int64) for i in (0, 1))
        found = arrival.sort(Rows(who, stamps, np.arange(low, high, dtype=float), np.arange(low, high)))
        late += (found.late + low).tolist()
        again += (found.repeated + low).tolist()
        parts.append(found.released)
    parts.append(arrival.flush(len(times)))
    for part in parts:
        for w, t, v, o in zip(*(column.tolist() for column in part), strict=True):
            out[w].append((t, int(v), o))
    return out, late, again


@given(
    times=st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), max_size=60),
    cuts=st.lists(st.integers(0, 60), max_size=6),
    lateness=st.sampled_from([0, 3, 10]),
)
def test_order_depends_on_the_rows_alone(times: list[tuple[int, int]], cuts: list[int], lateness: int) -> None:
    whole, late, again = arrive(times, lateness, [])
    assert (whole, sorted(late), sorted(again)) == tuple(
        sorted(x) if i else x for i, x in enumerate(arrive(times, lateness, cuts))
    )
    released = [len(rows) for rows in whole]
    assert sum(released) + len(late) + len(again) == len(times)
    for rows in whole:
        assert all(a < b for a, b in zip([t for t, *_ in rows], [t for t, *_ in rows][1:], strict=False))


def test_rows_shuffled_within_the_lateness_come_out_as_if_in_order() -> None:
    random = np.random.default_rng(0)
    times = [(0, t) for t in range(200)]
    shuffled = sorted(times, key=lambda row: row[1] + random.uniform(0, 9))
    rows, late, again = arrive(shuffled, 10, [50, 90])
    assert [t for t, *_ in rows[0]] == list(range(200))
    assert (late, again) == ([], [])
    _, late, again = arrive([row for row in times for _ in (0, 1)], 0, [31])
    assert (len(late), len(again)) == (0, 200)


def test_a_file_cut_at_every_byte_gives_whole_lines_only(tmp_path: Path) -> None:
    whole = f"time,sensor,value\n{T},a,12345.75\n{T + 1},a,2.5\n".encode()
    for length in range(len(whole) + 1):
        path = tmp_path / "cut.csv"
        path.write_bytes(whole[:length])
        source = File(path, follow=False)
        source.open(None)
        chunk = source.poll(0)
        source.close()
        assert chunk is not None
        assert chunk.text == whole[: whole[:length].rfind(b"\n") + 1]


def test_rotation_and_truncation_lose_and_repeat_nothing(tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    path.write_text("a\nb\n")
    source = File(path, follow=True)
    source.open(None)
    got = [read(source)]
    with open(path, "a", encoding="utf-8") as file:
        file.write("c\nhal")
        file.flush()
        got.append(read(source))
        path.rename(tmp_path / "live.csv.1")
        file.write("f\n")
    path.write_text("d\n")
    got += [read(source), read(source)]
    position = {"offset": 2, **{k: v for k, v in source._position().items() if k != "offset"}}
    path.write_text("e\n" * 3)  # cut and written anew, longer than before
    got.append(read(source))
    source.close()
    assert got == [b"a\nb\n", b"c\n", b"half\n", b"d\n", b"e\ne\ne\n"]
    assert position["offset"] == 2


def test_a_renamed_file_is_known_again_after_a_stop(tmp_path: Path) -> None:
    path = tmp_path / "live.csv"
    path.write_text("a\nb\n")
    first = File(path, follow=True)
    first.open(None)
    chunk = first.poll(0)
    assert chunk is not None
    first.close()
    with open(path, "a", encoding="utf-8") as file:
        file.write("c\n")
    path.rename(tmp_path / "live.csv.1")
    path.write_text("d\n")
    second = File(path, follow=True)
    (said,) = second.open(chunk.position)
    assert "renamed to live.csv.1" in said
    assert [read(second), read(second)] == [b"c\n", b"d\n"]
    second.close()


def read(source: File) -> bytes:
    chunk = source.poll(0.3)
    return b"" if chunk is None else chunk.text
