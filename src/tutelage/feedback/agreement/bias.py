"""What sways people besides the answer: its place on the screen, its length, haste; and whether they say the same twice.

Shares of votes with an interval clustered by prompt: for the response that stood earlier on the screen (1/2 where places are
shuffled and nobody is swayed), and for the longer one. A preference for length isn't a fault by itself, since longer answers may be
better; it is one where a person has much more of it than the others. Ties are left out.

Votes as `spoken` gives them, with repeats; `consistency` is all about these.
"""

from collections.abc import Callable, Sequence

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.pairwise import share
from tutelage.feedback.agreement.votes import FIRST, ORDER, TIE, Item, Vote, numbered
from tutelage.feedback.annotation import ANONYMOUS


def position(votes: Sequence[Vote]) -> Estimate | None:
    """How often the response that was shown earlier wins. None without a preference."""
    return _share(votes, lambda vote: (vote.label == FIRST) == (vote.earlier > 0), lambda vote: vote.earlier != 0)


def length(votes: Sequence[Vote]) -> Estimate | None:
    """How often the longer response wins, where lengths differ. None without such a preference."""
    return _share(votes, lambda vote: (vote.label == FIRST) == (vote.longer > 0), lambda vote: vote.longer != 0)


def ties(votes: Sequence[Vote]) -> Estimate | None:
    """How often a vote on a pair is a tie. None without one."""
    asked = [vote for vote in votes if vote.label in ORDER]
    return _of([vote.label == TIE for vote in asked], asked)


def haste(votes: Sequence[Vote]) -> Estimate | None:
    """How much less often a person's quicker votes agree with the others on the item than the slower ones: agreement of the slower
    half minus that of the quicker half, by each person's own median time; above 0: haste costs. None without both."""
    items: dict[Item, dict[str, Vote]] = {}
    for vote in votes:
        items.setdefault(vote.item, {}).setdefault(vote.worker, vote)
    middle = _middles(votes)
    slow: list[bool] = []
    alike: list[float] = []
    prompts: list[str] = []
    for by in items.values():
        for vote in by.values():
            if len(by) > 1 and vote.seconds > 0 and vote.seconds != middle[vote.worker]:
                slow.append(vote.seconds > middle[vote.worker])
                alike.append(sum(other.label == vote.label for other in by.values() if other is not vote) / (len(by) - 1))
                prompts.append(vote.item[0])
    return _apart(np.array(alike), np.array(slow, bool), numbered(prompts)[0]) if any(slow) and not all(slow) else None


def consistency(votes: Sequence[Vote]) -> Estimate | None:
    """How often people who are asked the same again say the same: each later vote against the first. None without a repeat. Who is
    anonymous may be several people and is left out."""
    first: dict[tuple[str, Item], Vote] = {}
    named = [vote for vote in votes if vote.worker != ANONYMOUS]
    again = [vote for vote in named if first.setdefault((vote.worker, vote.item), vote) is not vote]
    return _of([vote.label == first[vote.worker, vote.item].label for vote in again], again)


def median(values: Sequence[float], level: float = 0.95) -> Estimate | None:
    """The median of independent values with the interval between two of them that holds it with at least that chance (by the binomial
    distribution of how many fall below); infinite where there are too few. None without values."""
    if not values:
        return None
    ordered, n = np.sort(np.asarray(values, float)), len(values)
    below = np.arange(n + 1)
    at_most = special.bdtr(below, n, 0.5)
    reach = int(np.searchsorted(at_most, (1 - level) / 2, side="right")) - 1  # P(X <= reach) <= 2.5 %
    low, high = (float(ordered[reach]), float(ordered[n - 1 - reach])) if reach >= 0 else (-np.inf, np.inf)
    return Estimate(float(np.median(ordered)), low, high, n, n)


def _middles(votes: Sequence[Vote]) -> dict[str, float]:
    """The median time of each person."""
    times: dict[str, list[float]] = {}
    for vote in votes:
        if vote.seconds > 0:
            times.setdefault(vote.worker, []).append(vote.seconds)
    return {name: float(np.median(of_them)) for name, of_them in times.items()}


def _apart(x: np.ndarray, inside: np.ndarray, group: np.ndarray, level: float = 0.95) -> Estimate:
    """The mean of x inside minus that outside, by the rule of `core.statistics`: what a regression on the two gives, clustered."""
    mean_in, mean_out = float(x[inside].mean()), float(x[~inside].mean())
    count_in, count_out = int(inside.sum()), int((~inside).sum())
    pull = inside * (x - mean_in) / count_in - ~inside * (x - mean_out) / count_out
    score_G = np.bincount(group, pull)
    groups = len(score_G)
    if groups < 2:
        return Estimate(mean_in - mean_out, -np.inf, np.inf, len(x), groups)
    half = float(special.stdtrit(groups - 1, (1 + level) / 2)) * float(np.sqrt(groups / (groups - 1) * (score_G @ score_G)))
    return Estimate(mean_in - mean_out, mean_in - mean_out - half, mean_in - mean_out + half, len(x), groups)


def _share(votes: Sequence[Vote], true: Callable[[Vote], bool], counts: Callable[[Vote], bool]) -> Estimate | None:
    kept = [vote for vote in votes if vote.label in ORDER and vote.label != TIE and counts(vote)]
    return _of([true(vote) for vote in kept], kept)


def _of(true: Sequence[bool], votes: Sequence[Vote]) -> Estimate | None:
    if not votes:
        return None
    return share(np.array(true, float), numbered([vote.item[0] for vote in votes])[0])
