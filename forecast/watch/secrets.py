"""Secrets come from the environment, by the name of a variable, and are kept nowhere."""

import os

from forecast.errors import InputError


def secret(variable: str | None) -> str | None:
    """The secret in a variable of the environment; None where no variable is named."""
    if variable is None:
        return None
    if variable not in os.environ:
        raise InputError(
            f"the variable {variable} is not set; set it in the environment, secrets are read from nowhere else"
        )
    return os.environ[variable]
