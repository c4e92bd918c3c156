"""Cohen's kappa, plain and quadratic: agreement beyond what two people's own habits would give by chance.

    kappa = 1 - sum over pairs of people of n_ab D_ab / sum over pairs of people of n_ab E_ab
    D_ab: mean distance of a's and b's labels on the n_ab items that both judged;  E_ab: that of any label of a's and any of b's

with distance 0 or 1, or (v - w)^2 (Cohen 1960 and 1968, Psychological Bulletin 70). For two people it is Cohen's kappa. For more, sums
are taken before the division, so that two who share three items don't count like two who share three hundred; and a person's habits
are those of all their votes on items that others judged too, since three shared items have no habits: taken from these alone they
would resemble the disagreement itself and kappa would come out too low.

P pairs of votes, K pairs of people, W people, L labels.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.bootstrap import DRAWS, Method, bootstrap
from tutelage.feedback.agreement.pairwise import pairs_of
from tutelage.feedback.agreement.votes import Votes, numbered

Distance = Literal["plain", "quadratic"]


def kappa(votes: Votes, distance: Distance = "plain", method: Method = "bca", draws: int = DRAWS, seed: int = 0) -> Estimate | None:
    """With an interval over prompts. None where nothing was judged twice, or habit alone explains everything."""
    shared = votes.where(votes.count_I[votes.item_N] >= 2)
    a_P, b_P = pairs_of(shared)
    if not len(a_P):
        return None
    group_N, prompts = numbered(shared.group_N.tolist())
    size = len(shared.workers)
    people_K, people_P = np.unique(shared.worker_N[a_P] * size + shared.worker_N[b_P], return_inverse=True)
    statistic = _Kappa(shared, distance, group_N, group_N[a_P], a_P, b_P, people_P, people_K // size, people_K % size)
    return bootstrap(statistic, len(prompts), len(a_P), method, draws, seed=seed)


@dataclass(frozen=True)
class _Kappa:
    """Kappa as a function of how often each prompt counts."""

    votes: Votes
    distance: Distance
    group_N: np.ndarray
    group_P: np.ndarray
    a_P: np.ndarray
    b_P: np.ndarray
    people_P: np.ndarray
    a_K: np.ndarray
    b_K: np.ndarray

    def __call__(self, weight_G: np.ndarray) -> float:
        weight_N, weight_P = weight_G[self.group_N], weight_G[self.group_P]
        shared_K = np.bincount(self.people_P, weight_P, len(self.a_K))
        chance_K = self._unlike_K(weight_N) if self.distance == "plain" else self._far_K(weight_N)
        chance = float(shared_K @ chance_K)
        return 1 - self._seen(weight_P) / chance if chance > 1e-12 else float("nan")

    def _seen(self, weight_P: np.ndarray) -> float:
        label_N, values_L = self.votes.label_N, self.votes.values_L
        a_P, b_P = label_N[self.a_P], label_N[self.b_P]
        return float(weight_P @ (a_P != b_P)) if self.distance == "plain" else float(weight_P @ (values_L[a_P] - values_L[b_P]) ** 2)

    def _unlike_K(self, weight_N: np.ndarray) -> np.ndarray:
        """The chance that a label of a's and one of b's differ."""
        people, size = len(self.votes.workers), len(self.votes.labels)
        table_WL = np.bincount(self.votes.worker_N * size + self.votes.label_N, weight_N, people * size).reshape(people, size)
        table_WL = table_WL / np.maximum(table_WL.sum(1, keepdims=True), 1e-300)
        return 1 - (table_WL[self.a_K] * table_WL[self.b_K]).sum(1)

    def _far_K(self, weight_N: np.ndarray) -> np.ndarray:
        """The mean squared distance of a label of a's and one of b's: both variances and the squared distance of their means."""
        people, value_N = len(self.votes.workers), self.votes.values_L[self.votes.label_N]
        count_W = np.maximum(np.bincount(self.votes.worker_N, weight_N, people), 1e-300)
        mean_W = np.bincount(self.votes.worker_N, weight_N * value_N, people) / count_W
        spread_W = np.bincount(self.votes.worker_N, weight_N * (value_N - mean_W[self.votes.worker_N]) ** 2, people) / count_W
        return spread_W[self.a_K] + spread_W[self.b_K] + (mean_W[self.a_K] - mean_W[self.b_K]) ** 2
