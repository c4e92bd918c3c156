"""What a simulated annotator answers to each task, given what the responses are worth to this person.

A ranking, a rating, a verdict and a choice of one person about the same responses agree, since all are made of the same worth; ratings
and scores squash it, v = 1 / (1 + exp(-3 (worth - 1/2))), because worth has no ends and a scale has. Demonstrations are those of
people in a hurry (`demonstrations.py`). Edits correct the response that is worth least, if it is worth less than 3/4, with a right answer:
somebody who sees the fault knows what is right, who doesn't leaves it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import exp
from typing import Any

import numpy as np

from tutelage.core.text import Response
from tutelage.feedback.tasks import Answer
from tutelage.feedback.tasks.best_worst import BestWorst
from tutelage.feedback.tasks.binary import Binary
from tutelage.feedback.tasks.demonstration import Demonstration
from tutelage.feedback.tasks.edit import Edit
from tutelage.feedback.tasks.likert import Likert
from tutelage.feedback.tasks.pair import Pair
from tutelage.feedback.tasks.ranking import Ranking
from tutelage.feedback.tasks.score import Score
from tutelage.synthetic.demonstrations import demonstrate
from tutelage.synthetic.item import Item

STEEPNESS = 3.0
GOOD, FLAWLESS = 0.5, 0.75
"""From this worth on a response is good, or is left as it is."""
CLEARLY, SIGNIFICANTLY = 0.3, 0.8
"""From this difference in worth on the better response is clearly better, or significantly."""


@dataclass(frozen=True)
class Asked:
    """One question to one person."""

    item: Item
    responses: Sequence[Response]
    worth: Sequence[float]
    """Of each response, in units of gold."""
    tie: float
    """Neighbors closer than this share a tier."""
    random: np.random.Generator
    """For what the person writes."""
    options: Any
    """The task's own."""


def ranking(asked: Asked) -> Ranking:
    """Best first; what is closer than `tie` to the next, or the same text, shares a tier."""
    worth, responses = asked.worth, asked.responses
    order = _best_first(asked)
    tiers = [[order[0]]]
    for before, place in pairwise(order):
        if worth[before] - worth[place] < asked.tie or responses[before].id == responses[place].id:
            tiers[-1].append(place)
        else:
            tiers.append([place])
    return Ranking(tuple(map(tuple, tiers)))


def pair(asked: Asked) -> Pair:
    """The first of a ranking of two; how much better only where it is asked."""
    tiers = ranking(asked).tiers
    if len(tiers) == 1:
        return Pair("tie")
    apart = abs(asked.worth[0] - asked.worth[1])
    return Pair(tiers[0][0], 1 + (apart >= CLEARLY) + (apart >= SIGNIFICANTLY) if asked.options.strength else 0)


def likert(asked: Asked) -> Likert:
    """1 to 7."""
    return Likert(tuple(1 + round(6 * squashed(worth)) for worth in asked.worth))


def binary(asked: Asked) -> Binary:
    """Good or bad."""
    return Binary(tuple(worth >= GOOD for worth in asked.worth))


def score(asked: Asked) -> Score:
    """In twentieths of the range: halves, where it is 0 to 10."""
    low, high = asked.options.low, asked.options.high
    return Score(tuple(low + (high - low) * round(20 * squashed(worth)) / 20 for worth in asked.worth), low, high)


def best_worst(asked: Asked) -> BestWorst:
    """The ends of a ranking without ties."""
    order = _best_first(asked)
    return BestWorst(order[0], order[-1])


def demonstration(asked: Asked) -> Demonstration:
    """An answer by somebody in a hurry."""
    return Demonstration(demonstrate(asked.random, asked.item))


def edit(asked: Asked) -> Edit:
    """The worst response corrected, or left as it is."""
    worst = _best_first(asked)[-1]
    text = asked.responses[worst].text
    if asked.worth[worst] >= FLAWLESS and text.strip():
        return Edit(worst, text)
    return Edit(worst, demonstrate(asked.random, asked.item, imperfect=False))


TASKS: Mapping[str, Callable[[Asked], Answer]] = {
    "ranking": ranking,
    "pair": pair,
    "likert": likert,
    "binary": binary,
    "score": score,
    "best_worst": best_worst,
    "demonstration": demonstration,
    "edit": edit,
}


def squashed(worth: float) -> float:
    """In 0..1, rising with worth."""
    return 1 / (1 + exp(-STEEPNESS * (worth - GOOD)))


def _best_first(asked: Asked) -> list[int]:
    return sorted(range(len(asked.responses)), key=lambda place: -asked.worth[place])
