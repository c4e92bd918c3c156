"""People: pseudonyms, roles, what they know and don't want to see; and the admin's log, in which every admin action is noted.

A pseudonym is all that the store knows of somebody. `keys` is the number of a person's keys: links and sessions carry the number
under which they were signed, so counting it up makes all of them worthless at once.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tutelage.feedback.store import Store
from tutelage.feedback.study.study import Study

Role = Literal["annotator", "reviewer", "admin"]


@dataclass(frozen=True)
class Person:
    """Somebody who takes part."""

    name: str
    """A pseudonym."""
    role: Role = "annotator"
    expertise: tuple[str, ...] = ()
    opt_out: tuple[str, ...] = ()
    """Content categories that are not shown to them."""
    keys: int = 1
    active: bool = True
    """False: revoked."""
    accepted: bool | None = None
    """What the admin decided after the screening; None: nothing yet."""
    since: float = 0.0
    """Unix seconds."""


@dataclass(frozen=True)
class Action:
    """A line of the admin's log."""

    number: int
    at: float
    """Unix seconds."""
    by: str
    action: str
    """invite, revoke, restore, renew, accept, decline, role, erase, reply, or what the site notes."""
    about: str
    """Mostly a person."""
    detail: str = ""


@dataclass(frozen=True)
class Erased:
    """What an erasure left."""

    name: str
    """What stands in place of the pseudonym: `erased-` and 8 hex digits."""
    events: int
    """Tombstones: rows whose content is gone."""
    annotations: tuple[str, ...]
    """Ids of the annotations that are gone, sorted."""


class People:
    """The people of a study. Every method that changes something takes `by`, the admin, and notes it in the log in the same
    transaction. UserError for a name that nobody has."""

    def __init__(self, study: Study, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.study, self.store, self.clock = study, store, clock

    def find(self, name: str) -> Person:
        raise NotImplementedError

    def everyone(self) -> list[Person]:
        """By name."""
        raise NotImplementedError

    def invite(self, by: str, name: str = "", role: Role = "annotator", expertise: Sequence[str] = ()) -> Person:
        """Add somebody; without a name they are the next `ann-01`, `ann-02`, ... UserError where the name is taken."""
        raise NotImplementedError

    def revoke(self, by: str, name: str) -> None:
        """Nothing of theirs works any more: links, sessions, open leases. What they said stays."""
        raise NotImplementedError

    def restore(self, by: str, name: str) -> None:
        """Undo `revoke`; they need a new link."""
        raise NotImplementedError

    def renew(self, by: str, name: str) -> Person:
        """New keys: every link, session and token of before is worthless."""
        raise NotImplementedError

    def decide(self, by: str, name: str, accepted: bool) -> None:
        """The admin's decision after the screening; somebody who isn't accepted gets no work."""
        raise NotImplementedError

    def set_role(self, by: str, name: str, role: Role) -> None:
        raise NotImplementedError

    def erase(self, by: str, name: str) -> Erased:
        """Empty all that the person said, for good."""
        raise NotImplementedError

    def note(self, by: str, action: str, about: str = "", detail: str = "") -> None:
        """A line in the admin's log."""
        raise NotImplementedError

    def log(self, after: int = 0) -> list[Action]:
        """The admin's log, in order, from the line after this number."""
        raise NotImplementedError
