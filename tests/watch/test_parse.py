"""Column by column or line by line: the same readings in the same order, the same lines put aside for the same reasons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecast.watch.cells import Lines
from forecast.watch.columns import Roles, of_header
from forecast.watch.parse import Parser
from forecast.watch.readings import Chunk, Understood
from forecast.watch.zones import Zones

T = 1_700_000_000
TIMES = [str(T), f"{T + 60}000", "2026-01-02T03:04:05", "2026-01-02 03:04:05+01:00", "5", "x", "", " ", f" {T}"]
TIMES += ["2026-10-25 02:30", "2026-03-29 02:30", f'"{T}"']
SENSORS = ["a", "b", "a/b", "NA", "é", " a", "a ", "", '"a"', '"a', "a\0", "\ufeffa", "1"]
VALUES = ["1", "-2.5", "+3e2", ".5", "5.", "1e400", "inf", "-Infinity", "nan", "NA", "", "?", " 7", "0x1", "1_0", "z"]
GOOD = [f"{T},a,1", f"{T},b,nan", f"{T + 60},a,2.5\r"]
cells = st.tuples(st.sampled_from(TIMES), st.sampled_from(SENSORS), st.sampled_from(VALUES)).map(",".join)
lines = st.one_of(st.sampled_from(GOOD), cells, st.sampled_from(["", f"{T},a", f"{T},a,1,2", ",,", "\0", "#"]))


def readings(understood: Understood) -> list[tuple[str, int, str, int]]:
    found = understood.readings
    columns = (found.code.tolist(), found.time.tolist(), found.value.tolist(), found.line.tolist())
    return [(found.names[code], time, repr(value), line) for code, time, value, line in zip(*columns, strict=True)]


@given(rows=st.lists(lines, min_size=1, max_size=12), zone=st.booleans(), wide=st.booleans())
def test_whole_chunks_and_single_lines_agree(rows: list[str], zone: bool, wide: bool) -> None:
    names = ["time", "p", "q"] if wide else ["time", "sensor", "value"]
    zones = {"*": "Europe/Berlin"} if zone else {}
    parser = Parser(Roles(columns=tuple(names)), Zones(zones))
    slow = Lines(parser.roles, of_header(names, parser.roles, "test", ","), Zones(zones))
    text = "".join(row + "\n" for row in rows).encode()
    for number, raw in enumerate(text.split(b"\n")[:-1]):
        slow.take(raw, number)
    fast = parser.parse(Chunk(text, None))
    assert readings(fast) == readings(slow.understood())
    assert fast.aside == slow.understood().aside
    assert parser.zones.last == slow.zones.last


def test_one_bad_line_does_not_slow_the_others_down(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[int] = []
    take = Lines.take
    monkeypatch.setattr(Lines, "take", lambda self, raw, n, topic=None: (taken.append(n), take(self, raw, n, topic))[1])
    rows = [f"{T + i},s{i % 7},{i}" for i in range(1000)]
    rows[10], rows[500], rows[501], rows[900] = "broken", f"{T},,1", f"{T},a,inf", "5,a,1"
    found = Parser().parse(Chunk(("time,sensor,value\n" + "".join(row + "\n" for row in rows)).encode(), None))
    assert sorted(set(taken)) == [11, 501, 502, 901]
    assert [one.reason for one in found.aside] == ["number of columns", "no sensor", "not finite", "no readable time"]
    assert (found.readings.line == np.delete(np.arange(1, 1001), [10, 500, 501, 900])).all()


def test_sensors_keep_their_numbers_from_chunk_to_chunk() -> None:
    parser = Parser()
    first = parser.parse(Chunk(f"time,sensor,value\n{T},b,1\n{T},a,2\n".encode(), None)).readings
    second = parser.parse(Chunk(f"{T + 1},c,1\n{T + 1},a,2\n".encode(), None)).readings
    assert second.names is first.names
    assert [second.names[i] for i in second.code.tolist()] == ["c", "a"]
    third = parser.parse(Chunk(f"time,a,b\n{T + 2},1,2\n".encode(), None)).readings
    assert [third.names[i] for i in third.code.tolist()] == ["a", "b"]


def test_one_rule_names_the_readings_of_a_header_and_of_json() -> None:
    def labels(text: str, roles: Roles | None = None) -> list[str]:
        found = Parser(roles or Roles()).parse(Chunk(text.encode(), None)).readings
        return [found.names[i] for i in found.code.tolist()]

    two = ["a/temp", "a/load"]
    assert labels(f"time,sensor,temp,load\n{T},a,1,2\n") == two
    assert labels(f'{{"time":{T},"sensor":"a","temp":1,"load":2}}\n') == two
    assert labels(f'{{"time":{T},"sensor":"a","temp":1}}\n') == ["a/temp"]  # the next line may have more
    assert labels(f"time,sensor,temp\n{T},a,1\n") == ["a"]  # here none has
    assert labels(f"time,sensor,temp\n{T},a,1\n{T},a\n") == ["a"]
    roles = Roles(values=("temp",))
    assert labels(f'{{"time":{T},"sensor":"a","temp":1,"load":2}}\n', roles) == ["a"]
    assert labels(f"time,sensor,temp,load\n{T},a,1,2\n", roles) == ["a"]
