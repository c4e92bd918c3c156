"""Who most needs guidance, and on what: the person and topic whose disagreement stands out beyond chance.

Every pair of votes on one item by two people is a witness. Of each person and topic it is asked how much more often that person's
pairs disagree than all pairs do:

    ties          one of the two calls it a tie, the other doesn't
    order         they disagree in any other way
    a tag         (medical, code, ...) the excess inside the prompts with that tag, less the person's excess elsewhere

The excess is divided by its standard error, clustered by prompt; the largest is named if it is significant at 1 % among all that were
looked at (Bonferroni). So a quiet study names nobody, and somebody who disagrees everywhere isn't sent to read up on one topic.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from tutelage.feedback.agreement.pairwise import pairs_of
from tutelage.feedback.agreement.votes import TIE, Votes

FEWEST_PAIRS, FEWEST_PROMPTS, LEVEL = 30, 10, 0.01
TIES, ANYTHING = "ties", ""


@dataclass(frozen=True)
class Guidance:
    """Who, on what, and how sure that is."""

    person: str
    topic: str
    """"ties", a tag, or nothing: in general."""
    excess: float
    """How much more often this person's pairs of votes disagree (on the topic) than all do, 0..1."""
    z: float
    pairs: int

    def said(self, opposite: bool = False) -> str:
        """In words; `opposite` where the person is right less often than chance."""
        if opposite and self.topic == ANYTHING:
            return f"{self.person} answers the opposite of the others"
        return f"{self.person} needs guidance" + (f" on {self.topic}" if self.topic else "")


def guidance(votes: Votes, tags: Mapping[str, Sequence[str]]) -> Guidance | None:
    """The one that stands out most, or None. `tags`: topics of each prompt, by its id."""
    a_P, b_P = pairs_of(votes)
    if not len(a_P):
        return None
    found = list(_tested(votes, a_P, b_P, tags))
    worst = max(found, key=lambda g: g.z, default=None)
    if worst is None or special.ndtr(-worst.z) > LEVEL / len(found):
        return None
    return worst


def _tested(votes: Votes, a_P: np.ndarray, b_P: np.ndarray, tags: Mapping[str, Sequence[str]]) -> Iterator[Guidance]:
    group_P, (unlike_P, tied_P) = votes.group_N[a_P], _disagreeing(votes, a_P, b_P)
    of_topic = _topics(votes, tags)
    for number, person in enumerate(votes.workers):
        own_P = np.flatnonzero((votes.worker_N[a_P] == number) | (votes.worker_N[b_P] == number))
        for topic, wrong_P in ((TIES, tied_P), (ANYTHING, unlike_P & ~tied_P)):
            tested = _excess(wrong_P[own_P] - wrong_P.mean(), group_P[own_P])
            if tested:
                yield Guidance(person, topic, *tested, len(own_P))
        off_P = unlike_P[own_P] - unlike_P.mean()
        for topic, inside_G in of_topic.items():
            inside = inside_G[group_P[own_P]]
            here, elsewhere = _excess(off_P[inside], group_P[own_P][inside]), _excess(off_P[~inside], group_P[own_P][~inside])
            if here and elsewhere and here[1] > 0:
                error = np.hypot(here[0] / here[1], elsewhere[0] / elsewhere[1] if elsewhere[1] else 0.0)
                yield Guidance(person, topic, here[0] - elsewhere[0], float((here[0] - elsewhere[0]) / error), int(inside.sum()))


def _disagreeing(votes: Votes, a_P: np.ndarray, b_P: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whether the two disagree; whether exactly one of them calls it a tie."""
    tie_L = np.array([label == TIE for label in votes.labels])
    label_a_P, label_b_P = votes.label_N[a_P], votes.label_N[b_P]
    return label_a_P != label_b_P, tie_L[label_a_P] != tie_L[label_b_P]


def _topics(votes: Votes, tags: Mapping[str, Sequence[str]]) -> dict[str, np.ndarray]:
    """Of each tag, which prompts (by number) have it; not those that all or none have."""
    prompts = list(dict.fromkeys(item[0] for item in votes.items))
    having: dict[str, list[int]] = {}
    for number, prompt in enumerate(prompts):
        for tag in set(tags.get(prompt, ())):
            having.setdefault(tag, []).append(number)
    common = {tag: at for tag, at in sorted(having.items()) if FEWEST_PROMPTS <= len(at) <= len(prompts) - FEWEST_PROMPTS}
    return {tag: np.bincount(at, minlength=len(prompts)).astype(bool) for tag, at in common.items()}


def _excess(off_P: np.ndarray, group_P: np.ndarray) -> tuple[float, float] | None:
    """The mean, and how many standard errors it is from 0. None where there is too little."""
    groups, at_P = np.unique(group_P, return_inverse=True)
    if len(off_P) < FEWEST_PAIRS or len(groups) < FEWEST_PROMPTS:
        return None
    mean = float(off_P.mean())
    score_G = np.bincount(at_P, off_P - mean)
    error = np.sqrt(len(groups) / (len(groups) - 1) * float(score_G @ score_G)) / len(off_P)
    return mean, mean / error if error > 0 else 0.0
