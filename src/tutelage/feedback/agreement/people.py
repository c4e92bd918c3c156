"""What is known of each person: how much they did, how long it took, whether the others and the likeliest truth agree with them.

Reliability is the share of a person's votes that are right by Dawid-Skene's posterior, counted by its probability, on items that
somebody else judged too; a person who answers the opposite has nearly none. All shares are clustered by prompt.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement import bias
from tutelage.feedback.agreement.pairwise import share
from tutelage.feedback.agreement.votes import Vote, Votes
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.reliability.dawid_skene import dawid_skene, mirror_of

MOST_LABELS = 10
"""Labels above which (scores) a matrix of confusions says little."""


@dataclass(frozen=True)
class Person:
    """One person's row; None where there is nothing to go by."""

    name: str
    annotations: int
    """Sheets: several questions on one page are one."""
    hours: float
    """At work, also on what was corrected, taken back or skipped since."""
    seconds: Estimate | None
    """Median per annotation."""
    agreement: Estimate | None
    """How often another person says the same of the same."""
    reliability: Estimate | None
    """How often they are right, 0..1."""
    ties: Estimate | None
    position: Estimate | None
    """How often what stood earlier wins."""
    length: Estimate | None
    """How often the longer one wins."""
    consistency: Estimate | None
    """How often they say the same when asked again."""


def sheets(annotations: Iterable[Annotation]) -> list[Annotation]:
    """One annotation of each sheet: several questions that were answered together have one time between them, and it is counted once.
    Where it isn't known when they were made, questions on the same responses that took the same time are one sheet."""
    found: dict[object, Annotation] = {}
    times = Counter[object]()
    for annotation in annotations:
        key: tuple[object, ...] = (annotation.annotator, annotation.prompt.id, annotation.at)
        if not annotation.at:
            item = (*key, *(r.id for r in annotation.responses), annotation.seconds)
            question = (*item, annotation.task, annotation.aspect)
            times[question] += 1
            key = (*item, times[question])
        found.setdefault(key, annotation)
    return list(found.values())


def people(annotations: Sequence[Annotation], votes: Votes, spoken: Sequence[Vote], hours: Mapping[str, float]) -> list[Person]:
    """One row for everybody who has hours, by name. `annotations` are one of each sheet; `votes` and `spoken` are those of the question
    that agreement is about (`spoken` with what was asked again)."""
    agreement, reliability = with_others(votes), reliabilities(votes)
    own: dict[str, list[Vote]] = {}
    for vote in spoken:
        own.setdefault(vote.worker, []).append(vote)
    seconds = _seconds(annotations)
    return [
        Person(
            name,
            len(seconds.get(name, ())),
            hours[name],
            bias.median([s for s in seconds.get(name, ()) if s > 0]),
            agreement.get(name),
            reliability.get(name),
            *(figure(own.get(name, ())) for figure in (bias.ties, bias.position, bias.length, bias.consistency)),
        )
        for name in sorted(hours)
    ]


def with_others(votes: Votes) -> dict[str, Estimate]:
    """Each person's agreement with the others, over pairs of votes on one item; counted by vote and added up by prompt, not by pair."""
    _, said_N, same = np.unique(votes.item_N * max(len(votes.labels), 1) + votes.label_N, return_inverse=True, return_counts=True)
    others_N = votes.count_I[votes.item_N] - 1
    at = others_N > 0
    cells, cell_N = np.unique(votes.worker_N[at] * votes.groups + votes.group_N[at], return_inverse=True)
    alike, pairs = np.bincount(cell_N, same[said_N][at] - 1), np.bincount(cell_N, others_N[at])
    found: dict[str, Estimate] = {}
    for number, name in enumerate(votes.workers):
        own = slice(*np.searchsorted(cells, (number * votes.groups, (number + 1) * votes.groups)).tolist())
        if pairs[own].size:
            estimate = share(alike[own] / pairs[own], cells[own], pairs[own])
            found[name] = replace(estimate, n=int(pairs[own].sum()))
    return found


def reliabilities(votes: Votes) -> dict[str, Estimate]:
    """How often each person is right, by the posterior of Dawid-Skene. Empty where labels are too many, or nothing was judged twice."""
    shared = votes.where(votes.count_I[votes.item_N] >= 2)
    if not len(shared) or not 2 <= len(votes.labels) <= MOST_LABELS:
        return {}
    posterior_IC = dawid_skene(shared, mirror=mirror_of(shared)).posterior_IC
    right_N, group_N = posterior_IC[shared.item_N, shared.label_N], shared.group_N
    present = np.unique(shared.worker_N).tolist()
    return {votes.workers[w]: share(right_N[shared.worker_N == w], group_N[shared.worker_N == w]) for w in present}


def hours_of(annotations: Iterable[Annotation]) -> dict[str, float]:
    """Hours by person, of annotations that are one of each sheet."""
    total: dict[str, float] = {}
    for annotation in annotations:
        total[annotation.annotator] = total.get(annotation.annotator, 0.0) + annotation.seconds / 3600
    return total


def _seconds(annotations: Iterable[Annotation]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for annotation in annotations:
        found.setdefault(annotation.annotator, []).append(annotation.seconds)
    return found
