"""The desk: hands out sheets and takes answers. Plain functions on a study and a store, safe to call from many threads; no HTTP.

An item is handed out by lease: for ten minutes it is this person's, after that somebody else's chance. Which item: practice first,
then screening, then the work, where the least labelled goes first; every so often an item with a known answer, or one that this
person has answered before, drawn by (seed, person, number of the sheet), so that a study can be replayed. The order of responses
on the screen is drawn by (seed, person, item), kept, and stored with the answer.

Whatever changes something is one turn of the database: it is there whole or not at all, and an answer is on the disk before its receipt
is given. Leases and drafts wait for no disk: what a power cut takes of them can be had again.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.core.text import content_id
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event, submitted, write
from tutelage.feedback.study import answering, assign, log, person, progress, reading
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.answering import Posted
from tutelage.feedback.study.arrival import Used, arrives, returns
from tutelage.feedback.study.questions import check_values
from tutelage.feedback.study.seats import Seat
from tutelage.feedback.study.sheet import Entry, Progress, Receipt, Sheet, Talk
from tutelage.feedback.study.shelf import Shelf, shelve
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import items

SWEEP = 1.0
"""Seconds between two looks for leases that are over."""

__all__ = ["Desk", "Entry", "Progress", "Receipt", "Sheet", "Talk"]


class Desk:
    """Where people get their items. Every method raises UserError, in words for the person, for what can't be done, and Interrupted
    where the database is away: then nothing was stored, and the same call may be made again."""

    def __init__(self, study: Study, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.study, self.store, self.clock = study, store, clock
        self.database = store.database.opened()
        self._shelf = Shelf()
        self._swept = 0.0

    def load(self) -> None:
        """Put the study's items and people into the database; those that are there already stay as they are. UserError for a fault
        in a file, before anything is stored."""
        given = list(self.study.every_item())
        with self.database.turn() as connection:
            shelve(connection, given, self.study.overlap)
            person.enroll(connection, self.study, self.clock())
        self.database.learn()
        self._shelf.clear()

    def longest(self) -> int:
        """Bytes of the longest name that an item has before anybody, repeats included."""
        with self.database.reading() as connection:
            names: list[str] = [] if connection is None else list(connection.execute(sa.select(items.c.id)).scalars())
            return max(len(name.encode()) for name in [content_id(""), *names])

    def close(self) -> None:
        """Close the desk's connections; it may be used again."""
        self.database.close()

    def next(self, name: str) -> Sheet | None:
        """The item that the person has, else the next one for them; None: nothing is left (`progress` says why)."""
        now = self.clock()
        with self.database.turn(durable=False) as connection:
            if abs(now - self._swept) >= SWEEP:
                held.sweep(connection, now)
                self._swept = now
            came = arrives(connection, name)
            seat = came.held(now) or assign.assign(connection, self.study, came, now)
        return None if seat is None else self._open(seat)

    def sheet(self, name: str, item: str) -> Sheet:
        """One item of this person: leased, or answered by them. UserError for any other."""
        now = self.clock()
        with self.database.reading() as connection:
            if connection is None:
                raise UserError("This item is not yours. Open the next one.")
            seat = returns(connection, name, item).seat
            if seat.state in ("leased", "expired") and not seat.held(now):
                kept = "What you wrote is kept; open" if seat.draft else "Open"
                raise UserError(f"Your {self.study.lease_minutes:g} minutes for this item are over. {kept} the next item.")
            return self._sheet(connection, seat)

    def submit(self, name: str, submit: str, item: str, values: Mapping[str, str], active_ms: int, total_ms: int) -> Receipt:
        """Store an answer; for an answered item, within the time for edits, it supersedes the one before. `values` are the form's
        fields (`questions.py`) and `note`; `submit` is the sheet's token, and the same answer under it again changes nothing.

        When this returns, the answer is on the disk. UserError: an incomplete form, an item that the person has not leased, a lease
        that is over while others have filled the item, an edit that is too late; Used where the token carries something else already."""
        check_values(values)
        posted, now = Posted(submit, values, active_ms, total_ms), self.clock()
        with self.database.turn() as connection:
            came = returns(connection, name, item, submit)
            what = self._shelf.item(connection, came.seat.of)
            store = answering.answer if came.used is None else answering.repeated
            store(connection, self.study, what, came.seat, posted, now)
        return reading.receipt(self.study, what, came.seat, posted, came.used is None)

    def skip(self, name: str, submit: str, item: str, reason: str = "", active_ms: int = 0, total_ms: int = 0) -> Receipt:
        """Give an item back for good: others get it, this person doesn't. Used as above."""
        check_values({"reason": reason})
        posted = Posted(submit, {}, active_ms, total_ms)
        with self.database.turn() as connection:
            came = returns(connection, name, item, submit)
            if came.used is None:
                answering.skip(connection, self.study, came.seat, posted, reason, self.clock())
            elif (came.used, came.seat.state, came.seat.submit) != ("skip", "skipped", submit):
                raise Used
        return Receipt(submit, came.used is None)

    def undo(self, name: str, submit: str = "") -> Sheet | None:
        """Take the person's last answer or skip back: it is void, and its item is theirs again with the form as it was; None where
        there is nothing within the time for edits. With the token of the submit that is meant, doing it twice is doing it once."""
        now = self.clock()
        with self.database.turn() as connection:
            person.working(connection, name)
            last = held.latest(connection, name, ["answered", "skipped"])
            if not last or not answering.editable(self.study, last[0], now) or submit not in ("", last[0].submit):
                return None
            return self._sheet(connection, answering.undo(connection, self.study, last[0], now))

    def last(self, name: str) -> str:
        """The token of what `undo` would take back now; empty where there is nothing within the time for edits."""
        with self.database.reading() as connection:
            last = [] if connection is None else held.latest(connection, name, ["answered", "skipped"])
        return last[0].submit if last and answering.editable(self.study, last[0], self.clock()) else ""

    def draft(self, name: str, item: str, values: Mapping[str, str], submit: str = "") -> float:
        """Keep a half-filled form and begin the lease anew; Unix seconds of its end, which is past where the item went to others in the
        meantime: what was written is kept all the same. An item that is done takes a draft of its changes, from the form with the token
        `submit` of its sheet, within the time for edits. UserError."""
        check_values(values)
        with self.database.turn(durable=False) as connection:
            seat = returns(connection, name, item).seat
            return answering.keep(connection, self.study, seat, submit, values, self.clock())

    def ask(self, name: str, item: str, text: str, submit: str = "") -> None:
        """Ask the admin something about an item ("" for none). With a token, asking twice is asking once; Used where it carries something
        else."""
        check_values({"text": text})
        said = answering.said_text(text)
        if not said:
            raise UserError("The question is empty.")
        with self.database.turn() as connection:
            person.working(connection, name)
            of = returns(connection, name, item).seat.of if item else ""
            version = self.study.guideline.version
            asks = Posted(submit or held.token(), {}, 0, 0).submit
            event = Event(asks, "question", name, item=of, at=self.clock(), guideline=version, said={"text": said})
            if not write(connection, [event]) and not answering.asked_before(connection, event):
                raise Used

    def talks(self, name: str) -> list[Talk]:
        """The person's own questions and their replies, latest first."""
        with self.database.reading() as connection:
            return [] if connection is None else reading.talks(connection, name)

    def questions(self) -> list[Talk]:
        """Everybody's questions, for the admin, latest first."""
        with self.database.reading() as connection:
            return [] if connection is None else reading.talks(connection)

    def reply(self, by: str, question: str, text: str) -> None:
        """An admin's answer to the question of this token; whoever asked finds it with their questions. UserError where there is none."""
        check_values({"text": text})
        said = answering.said_text(text)
        with self.database.turn() as connection:
            asked = submitted(connection, question)
            if asked is None or asked.kind != "question" or not said:
                raise UserError("There is no such question." if said else "The reply is empty.")
            told = {"to": question, "text": said, "by": by}
            write(connection, [Event(held.token(), "reply", asked.annotator, item=asked.item, at=self.clock(), said=told)])
            log.note(connection, self.clock(), by, "reply", asked.annotator)

    def words(self, item: str) -> str:
        """How the prompt of an item ends, for a list of questions; nothing for none."""
        with self.database.reading() as connection:
            return self._shelf.item(connection, item).prompt.last[: reading.SHORT] if item and connection is not None else ""

    def history(self, name: str, limit: int = 50) -> list[Entry]:
        """The person's own answers and skips, latest first; nobody else's."""
        with self.database.reading() as connection:
            if connection is None:
                return []
            seats = held.latest(connection, name, ["answered", "skipped"], limit)
            whats = {seat.item: self._shelf.item(connection, seat.of) for seat in seats}
            return reading.history(connection, self.study, seats, whats)

    def progress(self, name: str) -> Progress:
        """How far the person is, and in which phase."""
        with self.database.reading() as connection:
            if connection is None:
                return Progress("over", 0, 0)
            return progress.progress(connection, self.study, person.working(connection, name), self.clock())

    def opt_out(self, name: str, categories: Sequence[str]) -> None:
        """Content categories that the person doesn't want to see; replaces those from before, and gives back what they have leased of
        these."""
        known = self.categories()
        for category in categories:
            if category not in known:
                raise UserError(f"There is no category {category!r} in this study.")
        with self.database.turn() as connection:
            person.working(connection, name)
            person.set_opt_out(connection, name, categories)
            for seat in held.leases(connection, name):
                if held.counts(connection, seat.of).category in categories:
                    held.release(connection, seat, "expired")

    def categories(self) -> list[str]:
        """The content categories that items have, sorted."""
        with self.database.reading() as connection:
            if connection is None:
                return []
            return sorted(filter(None, connection.execute(sa.select(items.c.category).distinct()).scalars()))

    def _open(self, seat: Seat) -> Sheet:
        """The sheet of a lease; what is on it is read after the turn, in which others would wait for it."""
        with self.database.reading() as connection:
            assert connection is not None
            return self._sheet(connection, seat)

    def _sheet(self, connection: sa.Connection, seat: Seat) -> Sheet:
        what = self._shelf.item(connection, seat.of)
        answered = seat.state in ("answered", "skipped")
        until = seat.since + 60 * self.study.edit_minutes
        return Sheet(
            item=replace(what.blind(), id=seat.item),
            shown=seat.shown,
            questions=self.study.asked(len(what.responses)),
            draft=seat.draft or (answering.form_of(connection, self.study, seat) if answered else {}),
            purpose=seat.purpose,
            submit=held.edit_token(seat.submit) if answered else seat.submit,
            expires=until if answered else seat.expires,
            answered=answered,
            voices=reading.voices(connection, self.study, seat) if seat.purpose == "adjudication" else (),
        )
