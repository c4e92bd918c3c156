"""Single keys: what they do on the labelling page, and what a study's `keys` may say otherwise.

    keys: {undo: z, skip: x}

Checked as the page is read, since a wrong key is not seen on the site: it is a command that has gone.
"""

from collections.abc import Mapping

from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.core.settings import Located, Plain, located

COMMANDS: Mapping[str, str] = {"undo": "u", "skip": "s", "flags": "f", "guideline": "g", "columns": "c", "ask": "q", "help": "?"}
"""What single keys do by default."""
TAKEN = "0123456789="
"""Signs that rank and pick."""


def check_keys(given: Plain, file: Located) -> None:
    """UserError with the page's line: a command that there isn't, what is no single key, a key that does something else."""
    if not isinstance(given, dict):
        return  # `build` says what is expected
    keys = {**COMMANDS, **given}
    for name, key in given.items():
        fault = _fault(name, key, keys)
        if fault:
            raise UserError(f"{located(('keys', name), file.name, file.lines)}: {fault}")


def _fault(name: str, key: Plain, keys: Mapping[str, Plain]) -> str:
    if name not in COMMANDS:
        return f"there is no such command{closest(name, COMMANDS) or '; commands are ' + ', '.join(COMMANDS)}"
    if isinstance(key, int) or (isinstance(key, str) and len(key) == 1 and key in TAKEN):
        return f"digits and = rank and pick responses, so {key} can't be the key of {name}; take a letter"
    if not isinstance(key, str) or len(key) != 1 or not key.isprintable() or key.isspace():
        return f"{key!r} is no single key; give one sign, like z"
    other = next((one for one, theirs in keys.items() if theirs == key and one != name), "")
    return f"{key!r} is the key of {other} already; give {other} another key, too" if other else ""
