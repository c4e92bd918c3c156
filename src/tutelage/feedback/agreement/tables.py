"""Hours and reliability per person as CSV: for whoever pays, and for a spreadsheet."""

import csv
import io
import math
from collections.abc import Sequence

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.people import Person

ESTIMATES = ("agreement", "reliability", "ties", "position", "length", "consistency")


def hours_csv(people: Sequence[Person], pay_per_hour: float | None = None) -> str:
    """person, annotations, hours, seconds (median); with a wage also pay. Numbers unrounded enough to be added up."""
    rows = [
        [person.name, person.annotations, round(person.hours, 4), _number(person.seconds.mean if person.seconds else None)]
        + ([] if pay_per_hour is None else [round(person.hours * pay_per_hour, 2)])
        for person in people
    ]
    return _csv(["person", "annotations", "hours", "seconds", *([] if pay_per_hour is None else ["pay"])], rows)


def reliability_csv(people: Sequence[Person]) -> str:
    """person, and of each share its value, both ends of its interval and how many judgements it rests on."""
    header = ["person", *(f"{name}{part}" for name in ESTIMATES for part in ("", "_low", "_high", "_n"))]
    return _csv(header, [[person.name, *(cell for name in ESTIMATES for cell in _cells(getattr(person, name)))] for person in people])


def _cells(estimate: Estimate | None) -> list[float | int | str]:
    if estimate is None:
        return ["", "", "", 0]
    return [_number(estimate.mean), _number(estimate.low), _number(estimate.high), estimate.n]


def _number(value: float | None) -> float | str:
    return "" if value is None or not math.isfinite(value) else round(value, 4)


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A name that a spreadsheet would take for a formula gets a quote in front, as OWASP advises."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([[_safe(cell) for cell in row] for row in rows])
    return text.getvalue()


def _safe(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell
