"""Krippendorff's alpha: agreement beyond chance, for any number of people, some of whom didn't see some items.

    alpha = 1 - D_o / D_e
    D_o = 1 / n * sum over items of  1 / (m_i - 1) * sum over ordered pairs of its votes of  delta^2(v, w)
    D_e = 1 / (n (n - 1)) * sum over ordered pairs of all votes of  delta^2(v, w)

over the n votes on items with m_i >= 2 of them; delta^2 is 1 or 0 (nominal), (v - w)^2 (interval), or the same on midranks (ordinal:
the sum of the frequencies between two values and half of their own, Krippendorff's definition, is the difference of their midranks).
So none of the three needs a table of all pairs of values, and a score with a thousand values costs what a yes or no costs.

Source: Krippendorff, Content Analysis (4th edition 2018), section 12.3. 1 is perfect, 0 what chance gives.

N votes, I items, L labels, G groups (prompts).
"""

from typing import Literal

import numpy as np

from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.bootstrap import DRAWS, Method, bootstrap
from tutelage.feedback.agreement.votes import Votes

Metric = Literal["nominal", "ordinal", "interval"]


def alpha(votes: Votes, metric: Metric = "nominal", method: Method = "bca", draws: int = DRAWS, seed: int = 0) -> Estimate | None:
    """With an interval over prompts. None where nothing was judged twice, or all votes are the same (chance would agree as well).
    The places of `labels` are the order for `ordinal`; `interval` takes their values."""
    pairable = votes.where(votes.count_I[votes.item_N] >= 2)
    if not len(pairable):
        return None
    groups, group_I = _present(pairable)
    statistic = _Alpha(pairable, metric, group_I)
    return bootstrap(statistic, groups, len(pairable), method, draws, seed=seed)


def _present(votes: Votes) -> tuple[int, np.ndarray]:
    """The number of prompts that have a vote, and each item's among them."""
    present = np.zeros(votes.groups, bool)
    present[votes.group_N] = True
    return int(present.sum()), (np.cumsum(present) - 1)[votes.group_I]


class _Alpha:
    """Alpha as a function of how often each prompt counts."""

    def __init__(self, votes: Votes, metric: Metric, group_I: np.ndarray) -> None:
        self.votes, self.metric, self.group_I = votes, metric, group_I
        self.count_I = votes.count_I
        self.worth_I = np.where(self.count_I >= 2, 2 / np.maximum(self.count_I - 1, 1), 0.0)
        if metric == "nominal":
            self.apart_I = self._unlike()
        elif metric == "interval":
            self.apart_I = self._squares(votes.values_L)

    def __call__(self, weight_G: np.ndarray) -> float:
        weight_I = weight_G[self.group_I] * (self.count_I >= 2)
        count_L = np.bincount(self.votes.label_N, weight_I[self.votes.item_N], len(self.votes.labels))
        n = float(count_L.sum())
        values_L = self.votes.values_L
        if self.metric == "ordinal":
            values_L = np.cumsum(count_L) - count_L / 2
        apart_I = self._squares(values_L) if self.metric == "ordinal" else self.apart_I
        chance = self._chance(count_L, values_L, n)
        if n < 2 or chance <= 1e-12 * n:
            return float("nan")
        return 1 - float(weight_I @ (self.worth_I * apart_I)) / n / (chance / (n * (n - 1)))

    def _chance(self, count_L: np.ndarray, values_L: np.ndarray, n: float) -> float:
        """Sum of delta^2 over ordered pairs of all votes."""
        if self.metric == "nominal":
            return n * n - float(count_L @ count_L)
        centered_L = values_L - float(count_L @ values_L) / max(n, 1.0)
        return 2 * n * float(count_L @ centered_L**2)

    def _unlike(self) -> np.ndarray:
        """Unordered pairs of unlike votes, by item."""
        size = len(self.votes.labels)
        cell, count = np.unique(self.votes.item_N * size + self.votes.label_N, return_counts=True)
        alike_I = np.bincount(cell // size, count.astype(float) ** 2, len(self.votes.items))
        return (self.count_I.astype(float) ** 2 - alike_I) / 2

    def _squares(self, values_L: np.ndarray) -> np.ndarray:
        """Sum of (v - w)^2 over unordered pairs of votes, by item: m times their squared deviations."""
        value_N, items = values_L[self.votes.label_N], len(self.votes.items)
        sum_I = np.bincount(self.votes.item_N, value_N, items)
        off_N = value_N - (sum_I / np.maximum(self.count_I, 1))[self.votes.item_N]
        return self.count_I * np.bincount(self.votes.item_N, off_N**2, items)
