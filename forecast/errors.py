"""Errors a person reads: one line that says what, where and what to do."""

import difflib
from collections.abc import Iterable


class ForecastError(Exception):
    """Something went wrong that is not the user's input; exit code 1."""

    exit_code = 1


class InputError(ForecastError):
    """What the user gave cannot be used as it is; exit code 2."""

    exit_code = 2


def unknown(kind: str, given: str, choices: Iterable[str]) -> InputError:
    """`unknown model 'hybird'; did you mean 'hybrid'?`"""
    choices = list(choices)
    near = difflib.get_close_matches(given, choices, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"choose from {', '.join(sorted(choices))}"
    return InputError(f"unknown {kind} {given!r}; {hint}")
