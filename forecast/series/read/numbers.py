"""Cells to float64: NaN where missing, and one line about the first cell that is no finite number.

A column that kept the type it showed at its top needs no look at its cells. Text is looked at word by word, each
distinct one once.
"""

import re

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from forecast.series.read.options import count, override, problem, several
from forecast.series.read.table import Table

FEW = 5  # distinct words in a column of numbers that may stand for missing
BLANKS = "\u00a0\u202f"


def numbers(table: Table, name: str) -> NDArray[np.float64]:
    """The column as numbers."""
    column = table.columns[name]
    if pa.types.is_floating(column.type) or pa.types.is_integer(column.type):
        return _finite(table, name, column.cast(pa.float64(), safe=False).to_numpy())
    if pa.types.is_timestamp(column.type):
        raise problem(
            table.at(0), f"column {name!r} holds times, not numbers", override("ignore", [name]) + " leaves it out"
        )
    codes, words = words_of(column)
    values, bad = parse(words, table)
    if bad.any():
        _explain(table, name, codes, words, bad)
    return values[codes]


def words_of(column: pa.ChunkedArray) -> tuple[NDArray[np.int64], pa.Array]:
    """Code of each row and the distinct words of a column, in order of appearance; no word at all is an empty one."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    array = column.unify_dictionaries().combine_chunks()
    array = array.chunk(0) if isinstance(array, pa.ChunkedArray) else array
    indices, words = array.indices, array.dictionary
    if indices.null_count:
        indices, words = pc.fill_null(indices, len(words)), pa.concat_arrays([words, pa.array([""], words.type)])
    return indices.to_numpy().astype(np.int64), words


def is_text(table: Table, name: str) -> bool:
    """Whether most cells that are not missing are no numbers."""
    column = table.columns[name]
    if not (pa.types.is_string(column.type) or pa.types.is_dictionary(column.type)):
        return False
    codes, words = words_of(column)
    values, bad = parse(words, table)
    often = np.bincount(codes, minlength=len(words))
    return bool(often[bad].sum() * 2 > often[bad | np.isfinite(values)].sum())


def parse(words: pa.Array, table: Table) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Numbers that the words stand for, NaN where missing, and which words stand for none."""
    words = pc.utf8_trim_whitespace(words.cast(pa.string()))
    missing = missing_words(words, table)
    lower = pc.utf8_lower(words)
    switch = pc.is_in(lower, value_set=pa.array(["true", "false"])).to_numpy(zero_copy_only=False)
    if (missing | switch).all():
        return np.where(missing, np.nan, pc.equal(lower, "true").to_numpy(zero_copy_only=False)), np.zeros(
            len(words), dtype=bool
        )
    plain = pc.replace_substring(words, "−", "-")
    for blank in BLANKS if table.thousands == " " else "":
        plain = pc.replace_substring(plain, blank, " ")
    decimal, group = re.escape(table.decimal), re.escape(table.thousands)
    whole = rf"(\d+|\d{{1,3}}({group}\d{{3}})+)" if group else r"\d+"
    shaped = pc.match_substring_regex(plain, rf"^[+-]?({whole}({decimal}\d*)?|{decimal}\d+)([eE][+-]?\d+)?$")
    if table.thousands:
        plain = pc.replace_substring(plain, table.thousands, "")
    if table.decimal != ".":
        plain = pc.replace_substring(plain, table.decimal, ".")
    plain = pc.replace_substring_regex(plain, r"^\+", "")
    kept = pc.if_else(pc.and_(shaped, pa.array(~missing)), plain, None)
    values = kept.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return values, ~np.isfinite(values) & ~missing


def missing_words(words: pa.Array, table: Table) -> NDArray[np.bool_]:
    """Which words stand for missing."""
    stripped = pc.utf8_trim_whitespace(words.cast(pa.string()))
    known = pc.is_in(stripped, value_set=pa.array(sorted({m.strip() for m in table.missing})))
    return np.asarray(known.to_numpy(zero_copy_only=False))


def _finite(table: Table, name: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Typed numbers without infinities."""
    infinite = np.isinf(values)
    if not infinite.any():
        return values
    if table.missing & {"inf", "-inf"}:
        return np.where(infinite, np.nan, values)
    row = int(infinite.argmax())
    what = f"{values[row]} in column {name!r} is not finite ({count(int(infinite.sum()), 'cell')})"
    raise problem(table.at(row), what, override("missing", ["inf", "-inf"]) + " takes it as missing")


def _explain(table: Table, name: str, codes: NDArray[np.int64], words: pa.Array, bad: NDArray[np.bool_]) -> None:
    """The error about the first cell that is no number."""
    rows = np.flatnonzero(bad[codes])
    distinct = [words[int(code)].as_py() for code in dict.fromkeys(codes[rows].tolist())]
    word = distinct[0]
    large = re.fullmatch(r"\s*[+-]?[\d.,]+[eE]\+?\d+\s*|\s*[+-]?\d{300,}\s*", word)
    shown = word if len(word) < 40 else f"{word[:37]}..."
    why = "too large for a number" if large else "no number"
    what = f"{shown!r} in column {name!r} is {why} ({count(len(rows), 'such cell')})"
    leave = override("ignore", [name]) + " leaves the column out"
    if len(distinct) > FEW or not all(w.isprintable() for w in distinct):
        raise problem(
            table.at(int(rows[0])), f"{what}, like {several(distinct[1:], 3)}" if distinct[1:] else what, leave
        )
    fix = override("missing", [w.strip() for w in distinct])
    raise problem(
        table.at(int(rows[0])), what, f"{fix} takes {'it' if len(distinct) == 1 else 'them'} as missing", leave
    )
