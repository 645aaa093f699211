"""Checks the annotated types and shapes of every call that a test makes into `forecast`."""

from typing import Any, Self

from beartype import BeartypeConf, FrozenDict, beartype

# An int may stand for a float. beartype knows `Self` only where it decorates a whole class; here it gets functions.
check = beartype(conf=BeartypeConf(is_pep484_tower=True, hint_overrides=FrozenDict({Self: Any})))
