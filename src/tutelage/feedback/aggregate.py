"""Raw annotations in, aggregated ones out: what several people said of one prompt becomes one annotation.

    majority       of each pair of responses the label that most votes have (first, second, tie), as certain
    dawid_skene    of each pair how likely either is the better one, by people whose reliability is fitted along (`dawid_skene.py`)
    bradley_terry  the same from strengths of the responses and reliabilities of the people (`bradley_terry.py`)

Votes are pooled by prompt and by response, whoever was shown which others beside them, and a tie's probability counts half for either
side. All pairs of a prompt go into one annotation (`pooled.py`), so a prompt stays one unit of the loss whose weights sum to 1, as a
ranking does. Its annotator is "aggregate:dawid_skene". The raw annotations stay where they are: this can be done again, otherwise.

`minimum_agreement` leaves out prompts on which pairs of votes agree less often than that. A prompt that one person judged stays: nothing
is known against it. A majority is then the one vote, as certain; Dawid-Skene gives it the chance with which that person is right on what
others judged too, and where nobody shares anything 0.8 for everybody, which was measured of nobody (`single` counts such prompts).
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from tutelage.core.errors import UserError
from tutelage.feedback.agreement.pairwise import by_prompt
from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, by_kind, kind_of, votes_of
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.pooled import TASK
from tutelage.feedback.reliability.bradley_terry import bradley_terry
from tutelage.feedback.reliability.dawid_skene import dawid_skene, mirror_of

How = Literal["none", "majority", "dawid_skene", "bradley_terry"]
DIGITS = 6
"""Digits of a probability: what is closer to 1/2 is a tie, and the last bits of a machine change no id."""


def aggregate(annotations: Iterable[Annotation], how: How, minimum_agreement: float | None = None) -> list[Annotation]:
    """One annotation of each prompt and aspect, sorted by id; with "none" the annotations as they are, those of prompts with
    less agreement left out. UserError for annotations that order nothing (likert, binary, ...) unless `how` is "none"."""
    kept = agreed(annotations, minimum_agreement)[0]
    if how == "none" or not kept:
        return kept
    refuse_values(kept, how)
    made: list[Annotation] = []
    for (_, aspect), judged in by_kind(kept).items():
        votes = votes_of(judged)
        first_I = probabilities(votes, how)
        made += [replace(_pooled(given, votes, first_I, items, how), aspect=aspect) for given, items in _prompts(judged, votes)]
    return sorted(made, key=lambda a: a.id)


def agreed(annotations: Iterable[Annotation], minimum: float | None) -> tuple[list[Annotation], int]:
    """Annotations of the prompts on which people agree at least that often, in the order given; and how many prompts were left out."""
    given = list(annotations)
    if minimum is None or not given:
        return given, 0
    refuse_values(given, "minimum_agreement")
    below = {prompt for prompt, share in by_prompt(votes_of(given)).items() if share < minimum}
    return [annotation for annotation in given if annotation.prompt.id not in below], len(below)


def single(annotations: Iterable[Annotation]) -> int:
    """How many prompts one person alone judged."""
    people: dict[str, set[str]] = {}
    for annotation in annotations:
        people.setdefault(annotation.prompt.id, set()).add(annotation.annotator)
    return sum(len(names) == 1 for names in people.values())


def probabilities(votes: Votes, how: How) -> np.ndarray:
    """How likely the first response of each item is the better one [I]; a tie counts half."""
    return METHODS[how](votes)


def orders(annotation: Annotation) -> bool:
    """Whether it says which responses are better than others."""
    return kind_of(annotation) == "order"


def refuse_values(annotations: Iterable[Annotation], asked: str) -> None:
    """UserError where an annotation orders nothing."""
    for annotation in annotations:
        if not orders(annotation):
            raise UserError(
                f"annotation {annotation.id} by {annotation.annotator}: {asked} is for tasks that order responses (ranking, pair, "
                f"best_worst), not for {annotation.task}"
            )


def _majority(votes: Votes) -> np.ndarray:
    """1, 0, or 1/2 where the tie or no label has most votes."""
    share_IL = votes.share_IL
    most_I = share_IL.max(1, keepdims=True)
    leads_IL = share_IL >= most_I - 1e-12
    alone_I = leads_IL.sum(1) == 1
    return np.where(alone_I & leads_IL[:, 0], 1.0, np.where(alone_I & leads_IL[:, 1], 0.0, 0.5))


def _dawid_skene(votes: Votes) -> np.ndarray:
    posterior_IC = dawid_skene(votes, mirror=mirror_of(votes)).posterior_IC
    return posterior_IC @ np.array([{FIRST: 1.0, SECOND: 0.0, TIE: 0.5}[str(label)] for label in votes.labels])


def _bradley_terry(votes: Votes) -> np.ndarray:
    return bradley_terry(votes).first_I


METHODS: dict[How, Callable[[Votes], np.ndarray]] = {
    "majority": _majority,
    "dawid_skene": _dawid_skene,
    "bradley_terry": _bradley_terry,
}


def _prompts(annotations: Sequence[Annotation], votes: Votes) -> list[tuple[list[Annotation], list[int]]]:
    """The annotations of each prompt, by id, with the items that are about it."""
    by_id: dict[str, list[Annotation]] = {}
    for annotation in sorted(annotations, key=lambda a: a.id):
        by_id.setdefault(annotation.prompt.id, []).append(annotation)
    items: dict[str, list[int]] = {}
    for number, item in enumerate(votes.items):
        items.setdefault(item[0], []).append(number)
    return [(of_it, items[prompt]) for prompt, of_it in by_id.items() if prompt in items]


def _pooled(given: Sequence[Annotation], votes: Votes, first_I: np.ndarray, items: Sequence[int], how: How) -> Annotation:
    """One annotation of one prompt, of its people's mean weight: its responses once each, in the order of the first annotation that shows
    them. Pairs of which neither is better are left out; where that leaves none it teaches nothing, as an all-tied ranking does."""
    responses = {response.id: response for annotation in given for response in annotation.responses}
    place = {response: number for number, response in enumerate(responses)}
    pairs: list[list[int | float]] = []
    for number in items:
        a, b, p = place[votes.items[number][1]], place[votes.items[number][2]], round(float(first_I[number]), DIGITS)
        if p != 0.5:
            pairs.append([a, b, p] if p > 0.5 else [b, a, round(1 - p, DIGITS)])
    weight = sum(annotation.weight for annotation in given) / len(given)
    return Annotation(given[0].prompt, tuple(responses.values()), TASK, {"pairs": sorted(pairs)}, f"aggregate:{how}", weight=weight)
