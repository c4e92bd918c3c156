"""Cohen's kappa, plain and quadratic: agreement beyond what two people's own habits would give by chance.

    kappa = 1 - sum over pairs of people of n_ab D_ab / sum over pairs of people of n_ab E_ab
    D_ab: mean distance of a's and b's labels on the n_ab items that both judged;  E_ab: that of any label of a's and any of b's

with distance 0 or 1, or (v - w)^2 (Cohen 1960 and 1968, Psychological Bulletin 70). For two people it is Cohen's kappa. For more, sums
are taken before the division, so that two who share three items don't count like two who share three hundred; and a person's habits
are those of all their votes on items that others judged too, since three shared items have no habits: taken from these alone they
would resemble the disagreement itself and kappa would come out too low.

All of it follows from sums over prompts: of the distances, of the n_ab, and of each person's labels (plain: how often each; quadratic:
how many, their sum and that of their squares). These are counted once, by prompt, so a draw of the bootstrap is one sparse product.

P pairs of votes, K pairs of people, W people, L labels, G groups (prompts), S sums.
"""

from dataclasses import dataclass
from typing import Any, Literal, cast

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.bootstrap import DRAWS, Method, bootstrap
from tutelage.feedback.agreement.pairwise import pairs_of
from tutelage.feedback.agreement.votes import Votes, numbered

Distance = Literal["plain", "quadratic"]
Matrix = Any
"""A sparse matrix; scipy gives it no type."""


def kappa(votes: Votes, distance: Distance = "plain", method: Method = "bca", draws: int = DRAWS, seed: int = 0) -> Estimate | None:
    """With an interval over prompts. None where nothing was judged twice, or habit alone explains everything."""
    shared = votes.where(votes.count_I[votes.item_N] >= 2)
    a_P, b_P = pairs_of(shared)
    if not len(a_P):
        return None
    group_N, prompts = numbered(shared.group_N.tolist())
    people, groups = len(shared.workers), len(prompts)
    people_K, people_P = np.unique(shared.worker_N[a_P] * people + shared.worker_N[b_P], return_inverse=True)
    seen = _summed(np.zeros_like(a_P), group_N[a_P], _distances(shared, distance, a_P, b_P), 1, groups)
    pairs = _summed(people_P, group_N[a_P], np.ones(len(a_P)), len(people_K), groups)
    habits = _counts(shared, group_N, groups) if distance == "plain" else _moments(shared, group_N, groups)
    sums_SG: Matrix = cast(Any, sparse).vstack([seen, pairs, habits], format="csr")
    statistic = _Kappa(sums_SG, distance, people, people_K // people, people_K % people)
    return bootstrap(statistic, groups, len(a_P), method, draws, seed=seed)


@dataclass(frozen=True)
class _Kappa:
    """Kappa as a function of how often each prompt counts."""

    sums_SG: Matrix
    """By prompt: the distances of its pairs of votes, then how many there are of each pair of people, then everybody's labels."""
    distance: Distance
    people: int
    a_K: np.ndarray
    b_K: np.ndarray

    def __call__(self, weight_G: np.ndarray) -> float:
        sums_S: np.ndarray = self.sums_SG @ weight_G
        seen, shared_K, habits_S = float(sums_S[0]), sums_S[1 : 1 + len(self.a_K)], sums_S[1 + len(self.a_K) :]
        chance_K = (self._unlike_K if self.distance == "plain" else self._far_K)(habits_S.reshape(self.people, -1))
        chance = float(shared_K @ chance_K)
        return 1 - seen / chance if chance > 1e-12 else float("nan")

    def _unlike_K(self, table_WL: np.ndarray) -> np.ndarray:
        """The chance that a label of a's and one of b's differ."""
        share_WL = table_WL / np.maximum(table_WL.sum(1, keepdims=True), 1e-300)
        return 1 - np.einsum("kl,kl->k", share_WL[self.a_K], share_WL[self.b_K])

    def _far_K(self, moments_W3: np.ndarray) -> np.ndarray:
        """The mean squared distance of a label of a's and one of b's: both variances and the squared distance of their means."""
        count_W = np.maximum(moments_W3[:, 0], 1e-300)
        mean_W, square_W = moments_W3[:, 1] / count_W, moments_W3[:, 2] / count_W
        spread_W = np.maximum(square_W - mean_W**2, 0.0)
        return spread_W[self.a_K] + spread_W[self.b_K] + (mean_W[self.a_K] - mean_W[self.b_K]) ** 2


def _distances(votes: Votes, distance: Distance, a_P: np.ndarray, b_P: np.ndarray) -> np.ndarray:
    label_a_P, label_b_P, values_L = votes.label_N[a_P], votes.label_N[b_P], votes.values_L
    return (label_a_P != label_b_P).astype(float) if distance == "plain" else (values_L[label_a_P] - values_L[label_b_P]) ** 2


def _counts(votes: Votes, group_N: np.ndarray, groups: int) -> Matrix:
    """How often each person gives each label [W * L, G]."""
    size = len(votes.labels)
    return _summed(votes.worker_N * size + votes.label_N, group_N, np.ones(len(votes)), len(votes.workers) * size, groups)


def _moments(votes: Votes, group_N: np.ndarray, groups: int) -> Matrix:
    """Of each person's values how many, their sum and their squares' [W * 3, G]; around the mean of all, against rounding."""
    value_N = votes.values_L[votes.label_N]
    off_N = value_N - value_N.mean()
    rows = (votes.worker_N[:, None] * 3 + np.arange(3)).ravel()
    return _summed(rows, np.repeat(group_N, 3), np.stack([np.ones_like(off_N), off_N, off_N**2], 1).ravel(), len(votes.workers) * 3, groups)


def _summed(row_N: np.ndarray, group_N: np.ndarray, value_N: np.ndarray, rows: int, groups: int) -> Matrix:
    """Values added up by row and group."""
    return sparse.coo_array((value_N, (row_N, group_N)), shape=(rows, groups)).tocsr()
