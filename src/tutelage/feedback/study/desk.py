"""The desk: hands out sheets and takes answers. Plain functions on a study and a store, safe to call from many threads; no HTTP.

An item is handed out by lease: for ten minutes it is this person's, after that somebody else's chance. Which item: practice first,
then screening, then the work, where the least labelled goes first; every so often an item with a known answer, or one that this
person has answered before, drawn by (seed, person, number of the sheet), so that a study can be replayed. The order of responses
on the screen is drawn by (seed, person, item), kept, and stored with the answer.
"""

import time
from collections.abc import Callable, Mapping, Sequence

from tutelage.feedback.store import Store
from tutelage.feedback.study.sheet import Entry, Progress, Receipt, Sheet, Talk
from tutelage.feedback.study.study import Study

__all__ = ["Desk", "Entry", "Progress", "Receipt", "Sheet", "Talk"]


class Desk:
    """Where people get their items. Every method raises UserError, in words for the person, for what can't be done, and Interrupted
    where the database is away: then nothing was stored, and the same call may be made again."""

    def __init__(self, study: Study, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.study, self.store, self.clock = study, store, clock

    def load(self) -> None:
        """Put the study's items and people into the database; those that are there already stay as they are. UserError for a fault
        in a file, before anything is stored."""
        raise NotImplementedError

    def next(self, person: str) -> Sheet | None:
        """The item that the person has, else the next one for them; None: nothing is left (`progress` says why)."""
        raise NotImplementedError

    def sheet(self, person: str, item: str) -> Sheet:
        """One item of this person: leased, or answered by them. UserError for any other."""
        raise NotImplementedError

    def submit(self, person: str, submit: str, item: str, values: Mapping[str, str], active_ms: int, total_ms: int) -> Receipt:
        """Store an answer; for an answered item, within the time for edits, it supersedes the one before. `values` are the form's
        fields (`questions.py`) and `note`; `submit` is the sheet's token, and the same token again changes nothing.

        When this returns, the answer is on the disk. UserError: an incomplete form, an item that the person has not leased, a lease
        that is over while others have filled the item, an edit that is too late."""
        raise NotImplementedError

    def skip(self, person: str, submit: str, item: str, reason: str = "") -> Receipt:
        """Give an item back for good: others get it, this person doesn't."""
        raise NotImplementedError

    def undo(self, person: str) -> Sheet | None:
        """Take the person's last answer or skip back: it is void, and its item is theirs again with the form as it was; None where
        there is nothing within the time for edits."""
        raise NotImplementedError

    def draft(self, person: str, item: str, values: Mapping[str, str]) -> float:
        """Keep a half-filled form and begin the lease anew; Unix seconds of its end."""
        raise NotImplementedError

    def ask(self, person: str, item: str, text: str, submit: str = "") -> None:
        """Ask the admin something about an item ("" for none). With a token, asking twice is asking once."""
        raise NotImplementedError

    def talks(self, person: str) -> list[Talk]:
        """The person's own questions and their replies, latest first."""
        raise NotImplementedError

    def history(self, person: str, limit: int = 50) -> list[Entry]:
        """The person's own answers and skips, latest first; nobody else's."""
        raise NotImplementedError

    def progress(self, person: str) -> Progress:
        """How far the person is, and in which phase."""
        raise NotImplementedError

    def opt_out(self, person: str, categories: Sequence[str]) -> None:
        """Content categories that the person doesn't want to see; replaces those from before."""
        raise NotImplementedError

    def categories(self) -> list[str]:
        """The content categories that items have, sorted."""
        raise NotImplementedError
