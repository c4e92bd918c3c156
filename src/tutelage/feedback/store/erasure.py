"""A person's erasure: what they said is emptied, tombstones stay, and their name is never given again.

The one exception to "append-only". A tombstone keeps when something was said of which item, and nothing from which it could be guessed:
an annotation's id is a hash of the name and of the answer, and both have few values, so that goes too.

Whoever came later under the same name would be taken for the one who left, by links of old and in the manifests of runs. So the store
remembers erased names, as salted hashes: it can tell that a name is taken, but neither whose it was nor which tombstone is theirs.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.store.tables import erased_names, events

MANY = 500
"""Events that are emptied at once."""
COST = 2**12
"""Of scrypt: some 10 ms for a name, so that a list of a million likely ones takes hours."""


def tombstone() -> str:
    """A name that says nothing of whose it was: drawn, not made of the old one, which could be guessed."""
    return f"erased-{secrets.token_hex(4)}"


def erase(connection: sa.Connection, annotator: str, name: str) -> list[int]:
    """Empty all that one person said within a turn, `name` in the place of theirs, also what they replied to others; remember the name.
    The numbers of the emptied events, sorted."""
    e = events.c
    own = list(connection.execute(sa.select(e.number).where(e.annotator == annotator)).scalars())
    replies = connection.execute(sa.select(e.number, e.content).where(e.kind == "reply")).all()
    numbers = sorted({*own, *(row.number for row in replies if json.loads(row.content).get("by") == annotator)})
    for start in range(0, len(numbers), MANY):
        some = e.number.in_(numbers[start : start + MANY])
        unname(connection, some)
        emptied = {"kind": "erased", "annotator": name, "content": "{}", "annotation": None}
        connection.execute(events.update().where(some).values(emptied))
    _remember(connection, annotator)
    return numbers


def erased(connection: sa.Connection, names: Iterable[str]) -> set[str]:
    """Those of the names that were erased."""
    known = set(connection.execute(sa.select(erased_names.c.hash)).scalars())
    if not known:
        return set()
    salt = _salt_of(next(iter(known)))
    return {name for name in names if _hash(salt, name) in known}


def refuse(connection: sa.Connection, names: Iterable[str], what: str) -> None:
    """UserError where one of the names was erased; `what` says where it stands."""
    gone = sorted(erased(connection, names))
    if gone:
        raise UserError(f"{what}: {gone[0]!r} was erased from this store, and a name that was erased is never given again; leave it out")


def unname(connection: sa.Connection, some: sa.ColumnElement[bool]) -> None:
    """What came through no form has its annotation's id in its own: another takes its place."""
    e = events.c
    formless = connection.execute(sa.select(e.number).where(some, e.id == e.submit)).scalars()
    drawn = [{"at_number": number, "drawn": secrets.token_hex(8)} for number in formless]
    if drawn:
        new = sa.bindparam("drawn", type_=sa.Text())
        renamed = events.update().where(e.number == sa.bindparam("at_number")).values(id=new, submit=new)
        connection.execute(renamed, drawn)


def _remember(connection: sa.Connection, name: str) -> None:
    """All names are written anew, in the order of their hashes: that in which rows came would tell which tombstone is whose."""
    known = set(connection.execute(sa.select(erased_names.c.hash)).scalars())
    salt = _salt_of(next(iter(known))) if known else secrets.token_hex(16)
    connection.execute(erased_names.delete())
    connection.execute(erased_names.insert(), [{"hash": one} for one in sorted({*known, _hash(salt, name)})])


def _salt_of(known: str) -> str:
    return known.partition(":")[0]


def _hash(salt: str, name: str) -> str:
    return f"{salt}:{hashlib.scrypt(name.encode(), salt=salt.encode(), n=COST, r=8, p=1, dklen=16).hex()}"
