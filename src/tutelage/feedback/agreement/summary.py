"""Everything that a page, a command or a manager wants to know of a study, in one value; and the first line, in words.

    412 of 1,000 done, Thursday 14:00, 1.8 labels/min, $186; agreement 0.71 (0.67-0.75): these labels cap the reward model near
    82 %; ann-03 needs guidance on ties.

Nothing is said where there is too little: no forecast before twenty labels in ten minutes of work, no agreement below twenty prompts
that two people judged, nobody named unless they stand out at 1 %. The agreement of the first line is that of preferences (a tie
teaches a reward model nothing); the ceiling is the bound of `pairwise.py`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import Any, cast

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.bootstrap import DRAWS
from tutelage.feedback.agreement.guidance import Guidance, guidance
from tutelage.feedback.agreement.kappa import kappa
from tutelage.feedback.agreement.krippendorff import alpha
from tutelage.feedback.agreement.pace import Pace, pace, said, time_of
from tutelage.feedback.agreement.pairwise import agreement, ceiling
from tutelage.feedback.agreement.people import Person, hours_of, people, sheets
from tutelage.feedback.agreement.votes import ORDER, Kind, Votes, by_kind, collected, spoken
from tutelage.feedback.annotation import Annotation

FEWEST_PROMPTS = 20
"""Prompts judged twice below which the first line is silent about agreement."""


@dataclass(frozen=True)
class Question:
    """How far people agree on one kind of judgement; None where nothing was judged twice."""

    kind: str
    """"order" (rankings, pairs, best and worst), or a task that values responses."""
    aspect: str
    """What was judged."""
    votes: int
    items: int
    prompts: int
    agreement: Estimate | None
    preferring: Estimate | None
    """Of votes that name a winner: ties left out."""
    ceiling: Estimate | None
    """The most that single labels allow a model's accuracy; labels that are one of two only."""
    alpha: Estimate | None
    """Krippendorff's, nominal; 1 perfect, 0 chance."""
    alpha_ordinal: Estimate | None
    """Of numbers only, as the next and the quadratic kappa."""
    alpha_interval: Estimate | None
    kappa: Estimate | None
    kappa_quadratic: Estimate | None


@dataclass(frozen=True)
class Summary:
    """A study so far."""

    done: int
    """Sheets (several questions on one page are one), not those of people asked again."""
    of: int | None
    pace: Pace
    hours: float
    cost: float | None
    currency: str
    now: datetime
    questions: tuple[Question, ...]
    """By number of votes; agreement of people is about the first."""
    people: tuple[Person, ...]
    position: Estimate | None
    length: Estimate | None
    haste: Estimate | None
    """How much less often quick answers agree with the others' than slow ones."""
    consistency: Estimate | None
    guidance: Guidance | None

    def first_line(self) -> str:
        """For whoever pays, or waits."""
        parts = [", ".join(part for part in (self._done(), self._finish(), self._rate(), self._paid()) if part)]
        return "; ".join(part for part in (*parts, self._agreement(), self._guidance()) if part) + "."

    def plain(self) -> dict[str, Any]:
        """For JSON: figures with their intervals, times in ISO 8601, and the first line."""
        return {"first_line": self.first_line(), **cast(dict[str, Any], _plain(self))}

    def _done(self) -> str:
        return f"{self.done:,} of {self.of:,} done" if self.of else f"{self.done:,} {'label' if self.done == 1 else 'labels'}"

    def _finish(self) -> str:
        return said(self.pace.finish, self.now) if self.pace.finish else ""

    def _rate(self) -> str:
        return f"{self.pace.per_minute:.1f} labels/min" if self.pace.per_minute else ""

    def _paid(self) -> str:
        return "" if not self.cost else f"{self.currency}{self.cost:,.0f}" if self.cost >= 1 else f"{self.currency}{self.cost:.2f}"

    def _agreement(self) -> str:
        question = self.questions[0] if self.questions else None
        found = question and (question.preferring or question.alpha_ordinal or question.agreement)
        if not question or not found or found.clusters < FEWEST_PROMPTS:
            return ""
        name = "alpha" if found is question.alpha_ordinal else "agreement"
        text = f"{name} {found.mean:.2f} ({found.low:.2f}-{found.high:.2f})"
        return f"{text}: these labels cap the reward model near {100 * question.ceiling.mean:.0f} %" if question.ceiling else text

    def _guidance(self) -> str:
        if not self.guidance:
            return ""
        reliability = next((p.reliability for p in self.people if p.name == self.guidance.person), None)
        return self.guidance.said(opposite=reliability is not None and reliability.high < 0.5)


def summarize(
    annotations: Sequence[Annotation],
    repeats: Sequence[Annotation] = (),
    hours: Mapping[str, float] | None = None,
    of: int | None = None,
    pay_per_hour: float | None = None,
    currency: str = "$",
    now: datetime | None = None,
    draws: int = DRAWS,
) -> Summary:
    """Of annotations (and, apart, of what people were asked again; someone's second annotation of the same among the first counts as
    that too). `hours`: those of each person, where more is known of them than these annotations (`hours.worked` of a store). `of`: sheets
    wanted; `now` has the time zone in which a forecast is told. UserError for broken annotations."""
    now = now or datetime.now(UTC).astimezone()
    kinds = by_kind(annotations)
    votes = {kind: collected(spoken(of_it)) for kind, of_it in kinds.items()}
    order = sorted(kinds, key=lambda kind: (-len(votes[kind]), kind))
    main = order[0] if order else ("", "")
    asked = spoken([*kinds.get(main, ()), *by_kind(repeats).get(main, ())])
    of_main = votes.get(main, collected([]))
    done = sheets(annotations)
    spent = hours_of([*done, *sheets(repeats)]) if hours is None else hours
    rows = people(done, of_main, asked, {**dict.fromkeys((annotation.annotator for annotation in done), 0.0), **spent})
    times = [time for annotation in done if (time := time_of(annotation.at))]
    total = sum(person.hours for person in rows)
    tags = {annotation.prompt.id: tuple(annotation.prompt.tags.values()) for annotation in annotations}
    return Summary(
        done=len(done),
        of=of,
        pace=pace(times, None if of is None else of - len(done), now),
        hours=total,
        cost=None if pay_per_hour is None else total * pay_per_hour,
        currency=currency,
        now=now,
        questions=tuple(question(kind, votes[kind], draws) for kind in order),
        people=tuple(rows),
        position=bias.position(asked),
        length=bias.length(asked),
        haste=bias.haste(asked),
        consistency=bias.consistency(asked),
        guidance=guidance(of_main, tags),
    )


def question(kind: Kind, votes: Votes, draws: int = DRAWS) -> Question:
    """The agreement of votes of one kind."""
    numbers = kind[0] != "order" and all(not isinstance(label, str) for label in votes.labels)
    preferring = agreement(votes.preferring()) if set(votes.labels) <= set(ORDER) else None
    two = len(votes.labels) == 2
    return Question(
        kind=kind[0],
        aspect=kind[1],
        votes=len(votes),
        items=len(votes.items),
        prompts=votes.groups,
        agreement=agreement(votes),
        preferring=preferring,
        ceiling=ceiling(preferring or (agreement(votes) if two else None)),
        alpha=alpha(votes, "nominal", draws=draws),
        alpha_ordinal=alpha(votes, "ordinal", draws=draws) if numbers and not two else None,
        alpha_interval=alpha(votes, "interval", draws=draws) if numbers and not two else None,
        kappa=kappa(votes, draws=draws),
        kappa_quadratic=kappa(votes, "quadratic", draws=draws) if numbers and not two else None,
    )


def _plain(value: object) -> object:
    if isinstance(value, Estimate):
        return value.plain()
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in cast(Mapping[object, object], value).items()}
    if isinstance(value, tuple | list):
        return [_plain(inner) for inner in cast(Sequence[object], value)]
    return value.isoformat() if isinstance(value, datetime) else value
