"""For whoever runs the study: how people did in the test before the work, grades for what they wrote, and the decision.

The cut-offs are soft (`study/screening.py`), so the page shows an interval beside each of them and leaves the deciding to the admin.
What was written is graded without its writer's name on the page.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite

from fastapi import APIRouter, Response
from starlette.responses import RedirectResponse

from tutelage.core.errors import UserError
from tutelage.core.statistics import Estimate
from tutelage.feedback.site.routes.admin import admin_page, standing
from tutelage.feedback.site.safe import Shown, shown
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.visitors import Me, Ours
from tutelage.feedback.study import screening
from tutelage.feedback.study.people import Person
from tutelage.feedback.study.screening import Screened, Verdict

router = APIRouter(include_in_schema=False, prefix="/admin/screening")
WORDS: dict[Verdict, str] = {"above": "above", "below": "below", "unclear": "can't tell yet"}


@dataclass(frozen=True)
class Row:
    """One person's test."""

    name: str
    answered: int
    agreement: str
    grade: str
    state: str
    active: bool
    accepted: bool | None


@dataclass(frozen=True)
class Ungraded:
    """Something written that awaits its grade."""

    person: str
    answer: str
    """The id of its event."""
    prompt: str
    text: Shown


@router.get("")
def tests(site: Here, me: Me) -> Response:
    """Everybody who has begun the test, and what awaits a grade."""
    me.may("admin")
    asked = site.study.screening
    if asked is None:
        raise UserError("This study has no screening.")
    found = [(who, screening.screened(site.study, site.desk.database, who.name)) for who in site.people.everyone()]
    begun = [(who, one) for who, one in found if one.answered]
    rows = [_row(who, one) for who, one in begun]
    waiting = [written for _, one in begun for written in _ungraded(site, one)]
    return admin_page(site, me, "screening", "Screening", rows=rows, waiting=waiting, agreement=asked.agreement, grade=asked.demonstrations)


@router.post("")
def grade(site: Here, me: Me, form: Ours) -> Response:
    """The grade of one text."""
    me.may("admin")
    given = form.get("grade", 1)
    if given not in "1234567" or not given:
        raise UserError("A grade is a number from 1 to 7.")
    screening.grade(site.desk.database, site.clock(), me.name, form.get("person", 64), form.get("answer"), int(given))
    return RedirectResponse("/admin/screening", 303)


def _row(who: Person, found: Screened) -> Row:
    agreement, written = found.verdicts
    return Row(
        who.name,
        found.answered,
        _beside(found.agreement, agreement),
        _beside(found.demonstrations, written),
        standing(who) if who.accepted is not None or not who.active else "undecided",
        who.active,
        who.accepted,
    )


def _beside(estimate: Estimate | None, verdict: Verdict) -> str:
    if estimate is None:
        return "–"
    interval = f" ({estimate.low:.2f} to {estimate.high:.2f})" if isfinite(estimate.low) and isfinite(estimate.high) else ""
    return f"{estimate.mean:.2f}{interval}, {WORDS[verdict]}"


def _ungraded(site: Site, found: Screened) -> Iterator[Ungraded]:
    for event in found.ungraded:
        assert event.annotation is not None
        yield Ungraded(found.person, event.id, site.desk.words(event.item), shown(str(event.annotation.answer["text"])))
