"""Damaged, full and occupied: the store says so and goes on from what is good."""

import random
import sqlite3
from pathlib import Path

import pytest

from forecast.errors import InputError
from forecast.watch.records import DamagedError, seal, unseal
from forecast.watch.store import Commit, Reader, Store, StoreError

FILES = 200


def filled(folder: Path, commits: int = 3) -> Store:
    store = Store(folder)
    for n in range(commits):
        sensors = [(i, f"s{i}", bytes([n]) * 300) for i in range(20)]
        store.commit(
            Commit({"file": {"offset": n}}, sensors, alerts=[(n + 1, f"e{n}", b"{}")], block=(n, n, b"x" * 500))
        )
    return store


def test_every_flipped_bit_and_every_cut_of_a_record_is_refused() -> None:
    record = seal(b"something to keep", 1, 1)
    assert unseal(record, 1, (1,), "it") == (1, b"something to keep")
    for bit in range(8 * len(record)):
        flipped = bytearray(record)
        flipped[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedError):
            unseal(bytes(flipped), 1, (1,), "it")
    for length in range(len(record)):
        with pytest.raises(DamagedError):
            unseal(record[:length], 1, (1,), "it")


def test_flips_and_cuts_of_the_file_are_found_and_the_last_good_copy_is_used(tmp_path: Path) -> None:
    filled(tmp_path).close()
    Store(tmp_path).close()  # makes the copy
    whole, chance = (tmp_path / "state.db").read_bytes(), random.Random(1)
    note = (tmp_path / "state.db.sha256").read_bytes()
    for n in range(FILES):
        data = bytearray(whole)
        if n % 4:
            bit = chance.randrange(8 * len(data))
            data[bit // 8] ^= 1 << bit % 8
        else:
            del data[chance.randrange(len(data)) :]
        (tmp_path / "state.db").write_bytes(bytes(data))
        (tmp_path / "state.db.sha256").write_bytes(note)
        store = Store(tmp_path)
        assert store.said is not None
        assert "last good copy" in store.said
        reader = Reader(store.path)
        assert reader.position("file") == {"offset": 2}
        assert [data for *_, data in reader.sensors()] == [bytes([2]) * 300] * 20
        reader.close()
        store.close()


def test_without_a_good_copy_it_is_refused(tmp_path: Path) -> None:
    filled(tmp_path).close()
    (tmp_path / "state.db").write_bytes(b"\0" * 5000)
    with pytest.raises(DamagedError, match="no good copy is left"):
        Store(tmp_path)


def test_a_full_disk_is_said_and_nothing_is_half_there(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (pages,) = store._base.execute("PRAGMA page_count").fetchone()
    store._base.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(StoreError, match="the disk is full; nothing was acknowledged"):
        store.commit(Commit({"file": {"offset": 9}}, [(i, f"n{i}", b"z" * 4000) for i in range(100, 200)]))
    reader = Reader(store.path)
    assert reader.position("file") == {"offset": 2}
    assert len(reader.sensors()) == 20
    reader.close()
    store._base.execute(f"PRAGMA max_page_count = {pages + 10_000}")
    store.commit(Commit({"file": {"offset": 9}}))
    store.close()


def test_one_owner_at_a_time(tmp_path: Path) -> None:
    store = filled(tmp_path)
    with pytest.raises(InputError, match="in use by process"):
        Store(tmp_path)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("UPDATE owner SET epoch = epoch + 1")  # somebody has taken over
    other.close()
    with pytest.raises(StoreError, match="another process has taken over"):
        store.commit(Commit({"file": {"offset": 9}}))
    store.close()
