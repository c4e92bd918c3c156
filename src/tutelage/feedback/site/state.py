"""What the admin's first page tells: the manager's sentence, plots, a row for each person.

Agreement with its intervals takes seconds for a large study, so it is made again only when something was said since, and at most every
REST seconds: whoever looks at the page must not slow down those who work.
"""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

import sqlalchemy as sa

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.hours import worked
from tutelage.feedback.agreement.people import Person
from tutelage.feedback.agreement.summary import Summary, summarize
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.site.plots import Dot, Plot, bars, dots, line
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import seconds
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import items

REST = 10.0
DRAWS = 400
"""Of the bootstrap: intervals for the eye; `tutelage label stats` takes more."""
COLUMNS = ("Answers", "Hours", "Seconds each", "Agrees with others", "Right, by estimate", "Same when asked again")
FEWEST_HOURS = 3
"""Hours of work that make a line."""


@dataclass(frozen=True)
class Row:
    """One person's figures."""

    name: str
    cells: tuple[str, ...]
    remark: str


@dataclass
class Figures:
    """A study's figures as they are by now; safe to ask from many threads."""

    study: Study
    store: Store
    desk: Desk
    _held: tuple[float, int, Summary, list[Annotation]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def now(self) -> tuple[Summary, list[Annotation]]:
        """The summary, and what it was made from."""
        with self._lock:
            held, moment = self._held, time.monotonic()
            if held is not None and moment - held[0] < REST:
                return held[2], held[3]
            stamp = self.store.last
            if held is None or held[1] != stamp:
                annotations = list(self.store.read())
                found = summarize(
                    annotations,
                    [event.annotation for event in self.store.repeats() if event.annotation],
                    worked(self.store),
                    of=self.wanted(),
                    pay_per_hour=self.study.pay_per_hour,
                    currency=self.study.currency,
                    draws=DRAWS,
                )
                held = (moment, stamp, found, annotations)
            self._held = (moment, *held[1:])
            return held[2], held[3]

    def wanted(self) -> int | None:
        """Sheets that the study wants: of each item from as many people as it is to have."""
        with self.desk.database.reading() as connection:
            if connection is None:
                return None
            people = connection.execute(
                sa.select(sa.func.sum(sa.case((items.c.wanted < items.c.answers, items.c.answers), else_=items.c.wanted))).where(
                    items.c.role == "work"
                )
            ).scalar()
        return int(people or 0) or None


def rows_of(found: Summary) -> list[Row]:
    """A row for each person; who stands out is named in the last column."""
    said = {found.guidance.person: found.guidance.said()} if found.guidance else {}
    return [Row(person.name, _cells(person), said.get(person.name, "")) for person in found.people]


def plots_of(found: Summary, annotations: Sequence[Annotation]) -> list[Plot]:
    """Whatever there is enough to draw of."""
    plots: list[Plot] = []
    people = [person for person in found.people if person.agreement]
    overall = next((question.agreement for question in found.questions[:1] if question.agreement), None)
    if people and overall:
        rows = [_dot(person.name, person.agreement, odd=bool(found.guidance and found.guidance.person == person.name)) for person in people]
        plots.append(
            dots(
                "Agreement with others",
                f"Share of judgements, 95 % interval. Dashed: everybody, {overall.mean:.2f}.",
                rows,
                0,
                1,
                overall.mean,
            )
        )
    swayed = [("first wins", found.position), ("longer wins", found.length), ("same again", found.consistency)]
    there = [_dot(name, estimate) for name, estimate in swayed if estimate]
    if there:
        plots.append(
            dots("What sways people", "First and longer would be near 0.5 if nothing did; the same again near 1.", there, 0, 1, 0.5)
        )
    timed = [(person.name, round(person.seconds.mean, 1)) for person in found.people if person.seconds]
    if timed:
        plots.append(bars("Seconds per answer", "The median of each person. Very short ones are worth a look.", timed, " s"))
    hours = _by_hour(annotations)
    if len(hours) >= FEWEST_HOURS:
        plots.append(line("Answers per hour", "Since the first.", hours, ("first hour", "now")))
    return plots


def _dot(name: str, estimate: Estimate | None, odd: bool = False) -> Dot:
    assert estimate is not None
    return Dot(name, estimate.mean, max(estimate.low, 0.0), min(estimate.high, 1.0), odd)


def _cells(person: Person) -> tuple[str, ...]:
    figures = (person.agreement, person.reliability, person.consistency)
    each = f"{person.seconds.mean:.0f}" if person.seconds else "–"
    return (f"{person.annotations:,}", f"{person.hours:.2f}", each, *(f"{e.mean:.2f}" if e else "–" for e in figures))


def _by_hour(annotations: Sequence[Annotation]) -> list[tuple[float, float]]:
    times = sorted(at for annotation in annotations if (at := seconds(annotation.at)))
    if not times:
        return []
    counts = [0] * (int((times[-1] - times[0]) // 3600) + 1)
    for at in times:
        counts[int((at - times[0]) // 3600)] += 1
    return [(float(hour), float(n)) for hour, n in enumerate(counts)]
