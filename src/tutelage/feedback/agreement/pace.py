"""How fast people work, when they will be done, and what it costs.

Labels per minute are counted while anybody is working: a gap of more than half an hour between two labels is a pause and not slow
work. A forecast must know about nights, so from a day on it goes by the share of time in which people worked; before that it says when
they would be done at this pace without a pause. Only the last seven days count: a study speeds up as people learn it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from tutelage.core.errors import UserError

PAUSE, WINDOW, DAY = timedelta(minutes=30), timedelta(days=7), timedelta(days=1)
FEWEST, SHORTEST = 20, timedelta(minutes=10)
"""Labels and working time below which nothing is said."""


@dataclass(frozen=True)
class Pace:
    """What the clock says; None where it has seen too little."""

    per_minute: float | None
    finish: datetime | None
    """When the last label is in, at this pace."""


def pace(times: Sequence[datetime], remaining: int | None, now: datetime) -> Pace:
    """From the times of labels, in any order."""
    recent = sorted(time for time in times if time > now - WINDOW)
    gaps = [after - before for before, after in pairwise(recent)]
    worked = sum((gap for gap in gaps if gap <= PAUSE), timedelta())
    counted = sum(gap <= PAUSE for gap in gaps)
    if counted < FEWEST or worked < SHORTEST:
        return Pace(None, None)
    rate = counted / (worked / timedelta(minutes=1))
    elapsed = now - recent[0]
    busy = worked / elapsed if elapsed >= DAY else 1.0
    finish = None if remaining is None or remaining <= 0 else now + timedelta(minutes=remaining / (rate * busy))
    return Pace(rate, finish)


def time_of(at: str) -> datetime | None:
    """A time from ISO 8601 (UTC where it names no zone); None for none. UserError for what is no time."""
    if not at:
        return None
    try:
        found = datetime.fromisoformat(at)
    except ValueError:
        raise UserError(f"at: {at!r} is no time; ISO 8601 would be right, 2026-11-20T14:05:00Z") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def said(finish: datetime, now: datetime) -> str:
    """A time as people name it, rounded up to the half hour: "Thursday 14:00", from six days on "3 December"."""
    half = timedelta(minutes=30)
    start = finish.replace(minute=0, second=0, microsecond=0)
    rounded = start + half * -(-(finish - start) // half)
    if rounded - now > timedelta(days=6):
        return f"{rounded.day} {rounded:%B}"
    return f"{rounded:%A %H:%M}"
