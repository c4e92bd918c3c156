"""How often two people say the same of the same thing, and what that says about a single label.

    a = agreeing pairs of votes / pairs of votes, over items that two or more people judged; clustered by prompt
    q = (1 + sqrt(2 a - 1)) / 2                   since a = q^2 + (1 - q)^2 where each label is right with chance q

q is the most that a model can agree with single labels in the long run: the ceiling of a reward model's accuracy on them, 83.6 % at
InstructGPT's a = 72.6 %. It is a bound and not an estimate: where items differ (let u = |2 p - 1| for an item whose votes fall p to
1 - p; a = (1 + E u^2) / 2, the ceiling (1 + E u) / 2) Jensen's inequality puts the ceiling below q, and u <= 1 puts it above a. So the
truth lies between a and q. Both are about preferences, so ties are left out of an agreement from which q is taken.

A person's ties with themselves are no pairs: votes hold one vote of each annotator on each item.

N votes, I items, L labels, P pairs of votes.
"""

from collections.abc import Hashable
from dataclasses import replace
from math import sqrt

import numpy as np

from tutelage.core import statistics
from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.votes import Votes


def agreement(votes: Votes) -> Estimate | None:
    """The share of pairs of votes on the same item that agree; `n` pairs of votes, clustered by prompt. None where nothing was judged
    twice. Where all agree (or none) there is no spread to go by, and the interval is Wilson's with one trial a prompt."""
    agreeing_I, pairs_I = agreeing(votes)
    some = pairs_I > 0
    if not some.any():
        return None
    share_I, groups = agreeing_I[some] / pairs_I[some], votes.group_I[some]
    found = share(share_I, groups, pairs_I[some])
    return replace(found, n=int(pairs_I.sum()))


def share(values: np.ndarray, clusters: np.ndarray, weights: np.ndarray | None = None, level: float = 0.95) -> Estimate:
    """The mean of values in 0..1 with an interval inside it: `statistics.mean`, and Wilson's where all are 0 or all are 1."""
    names: list[Hashable] = clusters.tolist()
    found = statistics.mean(values.tolist(), names, level, None if weights is None else weights.tolist())
    if found.clusters > 1 and found.mean in (0.0, 1.0):
        return statistics.within(found, 0, 1, level)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def agreeing(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """By item: how many pairs of votes agree, of how many pairs."""
    size = max(len(votes.labels), 1)
    cell, count = np.unique(votes.item_N * size + votes.label_N, return_counts=True)
    agreeing_I = np.bincount(cell // size, count * (count - 1) / 2, len(votes.items))
    return agreeing_I, votes.count_I * (votes.count_I - 1) / 2


def by_prompt(votes: Votes) -> dict[str, float]:
    """Agreement within each prompt that has a pair of votes on the same item, by the prompt's id."""
    agreeing_I, pairs_I = agreeing(votes)
    agreeing_G, pairs_G = (np.bincount(votes.group_I, by_item) for by_item in (agreeing_I, pairs_I))
    names = list(dict.fromkeys(item[0] for item in votes.items))
    return {name: float(a / p) for name, a, p in zip(names, agreeing_G, pairs_G) if p > 0}


def pairs_of(votes: Votes) -> tuple[np.ndarray, np.ndarray]:
    """Every pair of votes on one item, as places of votes: of each pair first the one by the annotator of the lower number."""
    order = np.lexsort((votes.worker_N, votes.item_N))
    item_N = votes.item_N[order]
    firsts, seconds = [np.empty(0, int)], [np.empty(0, int)]
    for apart in range(1, int(votes.count_I.max(initial=0))):
        same = np.flatnonzero(item_N[apart:] == item_N[:-apart])
        firsts.append(order[same])
        seconds.append(order[same + apart])
    return np.concatenate(firsts), np.concatenate(seconds)


def implied_accuracy(a: float) -> float | None:
    """q of an agreement a. None below 1/2, which no chance q gives."""
    return (1 + sqrt(2 * a - 1)) / 2 if a >= 0.5 else None


def ceiling(preferring: Estimate | None) -> Estimate | None:
    """The most that single labels allow a reward model, from the agreement of votes that name a winner. None where people agree no
    more than by chance. An edge of the interval that lies below chance is chance."""
    if preferring is None or preferring.mean < 0.5:
        return None
    mean, low, high = (implied_accuracy(max(0.5, a)) or 0.5 for a in (preferring.mean, preferring.low, preferring.high))
    return replace(preferring, mean=mean, low=low, high=high)
