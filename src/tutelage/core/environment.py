"""Numbers that environment variables say."""

import os

from tutelage.core.errors import UserError


def number(name: str, default: int, least: int = 0) -> int:
    """The whole number in the variable `name`; `default` where it is unset or empty. UserError for what is none, or below `least`."""
    told = os.environ.get(name, "").strip()
    if not told:
        return default
    if not told.isdecimal() or int(told) < least:
        raise UserError(f"the environment variable {name} is {told!r}; it can be a whole number of {least} or more, or left out")
    return int(told)
