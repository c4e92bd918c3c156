"""Cohen's kappa, plain and quadratic: agreement beyond what two people's own habits would give by chance.

    kappa = 1 - sum over pairs of people of n_ab D_ab / sum over pairs of people of n_ab E_ab
    D_ab: mean distance of a's and b's labels on the items that both judged;  E_ab: the same with a's labels against all of b's

with distance 0 or 1, or (v - w)^2 (Cohen 1960 and 1968, Psychological Bulletin 70). For one pair of people it is Cohen's kappa; for
more the sums above and below are taken before the division, so that a pair of people who share three items does not count like one
that shares three hundred, nor is it undefined where they agree by chance.

P pairs of votes, K pairs of people, L labels.
"""

from typing import Literal

import numpy as np

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.bootstrap import DRAWS, Method, bootstrap
from tutelage.feedback.agreement.pairwise import pairs_of
from tutelage.feedback.agreement.votes import Votes, numbered

Distance = Literal["plain", "quadratic"]


def kappa(votes: Votes, distance: Distance = "plain", method: Method = "bca", draws: int = DRAWS, seed: int = 0) -> Estimate | None:
    """With an interval over prompts. None where nothing was judged twice, or habit alone explains everything."""
    a_P, b_P = pairs_of(votes)
    if not len(a_P):
        return None
    group_P, names = numbered(votes.group_N[a_P].tolist())
    people_P = np.unique(votes.worker_N[a_P] * len(votes.workers) + votes.worker_N[b_P], return_inverse=True)[1]
    label_a_P, label_b_P = votes.label_N[a_P], votes.label_N[b_P]
    of = _plain if distance == "plain" else _quadratic
    values_L = votes.values_L

    def statistic(weight_G: np.ndarray) -> float:
        said, chance = of(label_a_P, label_b_P, people_P, weight_G[group_P], values_L)
        return 1 - said / chance if chance > 1e-12 else float("nan")

    return bootstrap(statistic, len(names), len(a_P), method, draws, seed=seed)


def _plain(a_P: np.ndarray, b_P: np.ndarray, people_P: np.ndarray, weight_P: np.ndarray, values_L: np.ndarray) -> tuple[float, float]:
    """Disagreement seen, and by chance, each summed over pairs of votes."""
    size, people = len(values_L), int(people_P.max()) + 1
    tables = [np.bincount(people_P * size + label_P, weight_P, people * size).reshape(people, size) for label_P in (a_P, b_P)]
    count_K = np.maximum(tables[0].sum(1), 1e-300)
    alike = float(((tables[0] * tables[1]).sum(1) / count_K).sum())
    return float(weight_P @ (a_P != b_P)), float(weight_P.sum()) - alike


def _quadratic(a_P: np.ndarray, b_P: np.ndarray, people_P: np.ndarray, weight_P: np.ndarray, values_L: np.ndarray) -> tuple[float, float]:
    value_a_P, value_b_P = values_L[a_P], values_L[b_P]
    count_K = np.maximum(np.bincount(people_P, weight_P), 1e-300)
    mean_a_K, mean_b_K = (np.bincount(people_P, weight_P * value_P) / count_K for value_P in (value_a_P, value_b_P))
    spread = float(weight_P @ ((value_a_P - mean_a_K[people_P]) ** 2 + (value_b_P - mean_b_K[people_P]) ** 2))
    return float(weight_P @ (value_a_P - value_b_P) ** 2), spread + float(count_K @ (mean_a_K - mean_b_K) ** 2)
