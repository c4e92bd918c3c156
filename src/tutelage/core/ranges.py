"""Ranges of settings, as annotated_types writes them, in words: `Annotated[float, Interval(ge=0, lt=1)]` allows 0 <= value < 1."""

from collections.abc import Iterable, Iterator
from typing import Any

import annotated_types as at


def violation(value: Any, metadata: Iterable[object]) -> str | None:
    """What is wrong with `value`, or None. Marks that aren't annotated_types are left to whoever put them there."""
    marks = list(flat(metadata))
    for mark in marks:
        if isinstance(mark, at.Ge | at.Gt | at.Le | at.Lt) and not _inside(value, mark):
            return f"{value!r} is out of range; allowed: {bounds(marks)}"
        if isinstance(mark, at.MinLen) and len(value) < mark.min_length:
            return f"{len(value)} items are too few; at least {mark.min_length} are needed"
        if isinstance(mark, at.MaxLen) and len(value) > mark.max_length:
            return f"{len(value)} items are too many; at most {mark.max_length} are allowed"
        if isinstance(mark, at.MultipleOf) and value % mark.multiple_of != 0:
            return f"{value!r} is not a multiple of {mark.multiple_of}"
    return None


def flat(metadata: Iterable[object]) -> Iterator[object]:
    """Marks with groups (Interval, Len) opened."""
    for mark in metadata:
        if isinstance(mark, at.GroupedMetadata):
            yield from mark
        else:
            yield mark


def _inside(value: Any, mark: at.Ge | at.Gt | at.Le | at.Lt) -> bool:
    """Written so that a value that cannot be compared (not a number) is outside."""
    if isinstance(mark, at.Ge):
        return value >= mark.ge
    if isinstance(mark, at.Gt):
        return value > mark.gt
    return value <= mark.le if isinstance(mark, at.Le) else value < mark.lt


def bounds(metadata: Iterable[object]) -> str:
    """`0 <= value < 1`, `> 0`. A whole number is written as one: typing takes Gt(0) and Gt(0.0) for the same, whichever came first."""
    low = high = ""
    for mark in flat(metadata):
        if isinstance(mark, at.Ge | at.Gt):
            low = f"{_short(mark.ge)} <=" if isinstance(mark, at.Ge) else f"{_short(mark.gt)} <"
        elif isinstance(mark, at.Le | at.Lt):
            high = f"<= {_short(mark.le)}" if isinstance(mark, at.Le) else f"< {_short(mark.lt)}"
    if low and high:
        return f"{low} value {high}"
    number, _, sign = low.partition(" ")
    return high or f"{sign.replace('<', '>')} {number}"


def _short(limit: object) -> object:
    return int(limit) if isinstance(limit, float) and limit.is_integer() else limit
