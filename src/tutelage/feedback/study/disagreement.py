"""Whether the people who judged an item agree, and what follows where they don't.

Agreement of two answers to one question: over the pairs of responses, the share on which both say the same (first, second, equal);
for labels of single responses, 1 minus the mean distance, values being scaled to 0..1; none for what is written. An item's agreement is
the mean over pairs of people, of its worst question. It is a rule for a queue; statistics with intervals are `feedback/agreement`.
"""

from collections.abc import Iterable, Sequence
from itertools import combinations
from statistics import fmean

import sqlalchemy as sa

from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Label, Preference, Signal
from tutelage.feedback.store.events import Event, event_of, live
from tutelage.feedback.store.tables import events
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.study import Disagreement
from tutelage.feedback.study.tables import items


def answers(connection: sa.Connection, item: str) -> list[Event]:
    """The answers of an item's annotators that stand, in the order in which they came."""
    query = sa.select(events).where(events.c.item == item, *live(("work",))).order_by(events.c.number)
    return [event_of(row) for row in connection.execute(query).all()]


def settle(connection: sa.Connection, item: str, rule: Disagreement) -> None:
    """After the last awaited answer to an item, or a change of one: ask more people, or a reviewer, or nobody."""
    there = held.counts(connection, item)
    if not there.overlap or there.answers < there.wanted or there.review in ("leased", "done"):
        return
    found = agreement(answers(connection, item))
    disputed = found is not None and found < rule.below
    if disputed and rule.more and there.wanted == there.overlap:
        connection.execute(items.update().where(items.c.id == item).values(wanted=there.overlap + rule.more))
    elif rule.review and (there.review == "wanted") != disputed:
        held.set_review(connection, item, "wanted" if disputed else "")


def agreement(given: Iterable[Event]) -> float | None:
    """Of the answers to one item, 0 to 1: the worst question's. None where fewer than two people said anything comparable."""
    by_question: dict[str, list[Annotation]] = {}
    for event in given:
        if event.annotation is not None:
            by_question.setdefault(str(event.said.get("question", "")), []).append(event.annotation)
    means = [mean for said in by_question.values() if (mean := _mean(said)) is not None]
    return min(means) if means else None


def alike(one: Annotation, two: Annotation) -> float | None:
    """How far two answers to the same question about the same responses agree, 0 to 1; None where they can't be compared."""
    k = len(one.responses)
    first, second = tasks.signals_of(one), tasks.signals_of(two)
    labels = [labels_of(signals) for signals in (first, second)]
    if any(labels):
        places = sorted(labels[0].keys() & labels[1].keys())
        return fmean(1 - min(1.0, abs(labels[0][place] - labels[1][place])) for place in places) if places else None
    if k < 2 or tasks.load(one.task).gives != "preferences":
        return None
    orders = [order_of(signals) for signals in (first, second)]
    return fmean(float(orders[0].get(pair, 0) == orders[1].get(pair, 0)) for pair in combinations(range(k), 2))


def _mean(said: Sequence[Annotation]) -> float | None:
    pairs = [found for one, two in combinations(said, 2) if (found := alike(one, two)) is not None]
    return fmean(pairs) if pairs else None


def labels_of(signals: Iterable[Signal]) -> dict[int, float]:
    """{place: value}."""
    return {signal.response: signal.value for signal in signals if isinstance(signal, Label)}


def order_of(signals: Iterable[Signal]) -> dict[tuple[int, int], int]:
    """{(i, j), i < j: 1 where i is better, -1 where j is}; equal ones are not in it."""
    found: dict[tuple[int, int], int] = {}
    for signal in signals:
        if isinstance(signal, Preference):
            low, high = sorted((signal.winner, signal.loser))
            found[low, high] = 1 if signal.winner == low else -1
    return found
