"""What training takes from an annotation: preferences between two responses, labels of one.

The weights of one annotation's signals sum to 1, so nobody counts more for having been asked about more responses: a ranking of
K responses is one unit with up to K (K - 1) / 2 preferences (InstructGPT, Ouyang et al. 2022, eq. 1). An annotation in which
all responses are tied says nothing about their order: it has no signals and is no unit.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class Preference:
    """Response `winner` is better than response `loser` (places in the annotation's responses)."""

    winner: int
    loser: int
    weight: float = 1.0
    """Share of the annotation, in (0, 1]."""
    margin: float = 0.0
    """How much better, >= 0, in the annotators' own steps (0 to 3); an objective scales it."""
    probability: float = 1.0
    """That the winner is really the better one, in (0.5, 1]."""
    aspect: str = "overall"


@dataclass(frozen=True, slots=True)
class Label:
    """Response `response` has the value `value` (good 1, bad 0; or a score)."""

    response: int
    value: float
    weight: float = 1.0
    """Share of the annotation, in (0, 1]."""
    span: tuple[int, int] | None = None
    """Characters of the response that are meant; none: all of it."""
    aspect: str = "overall"


Signal = Preference | Label
Gives = Literal["preferences", "labels", "texts"]
"""What a task's answers give training: signals of one kind, or texts that people wrote (`written.py`)."""


def preferences_of(pairs: Sequence[tuple[int, int]]) -> list[Signal]:
    """(winner, loser) pairs of one annotation, weighted equally."""
    return [Preference(winner, loser, weight=1 / len(pairs)) for winner, loser in pairs]


def labels_of(values: Sequence[float]) -> list[Signal]:
    """A label for each response of one annotation, weighted equally."""
    return [Label(place, float(value), weight=1 / len(values)) for place, value in enumerate(values)]
