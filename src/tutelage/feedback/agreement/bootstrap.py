"""Intervals for what has no formula: draw the prompts anew, with replacement, and see how far the figure moves.

    percentile   the middle 95 % of the figures
    BCa          the same, with its edges moved for bias and skewness: alpha_edge = Phi(z0 + (z0 + z) / (1 - a (z0 + z)))

Source: Efron 1987 (JASA 82, eq. 2.3); a by the jackknife, sum d^3 / (6 (sum d^2)^1.5). Whole prompts are drawn, with all their votes,
since votes on one prompt depend on each other. Draw r comes from the address ("bootstrap", seed, r) alone, so figures can be computed
again, and one by one. A statistic is a function of how often each prompt was drawn, not of copies of the votes. The jackknife leaves
out one of at most 200 blocks of prompts instead of every single one: cumulants of blocks add up to those of what is in them.

G groups (prompts), R draws.
"""

import math
from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from tutelage.core.randomness import stream
from tutelage.core.statistics import Estimate

Method = Literal["percentile", "bca"]
Statistic = Callable[[np.ndarray], float]
"""From how often each group counts [G] to a figure; nan where it has none."""
DRAWS, BLOCKS = 1000, 200


def bootstrap(
    statistic: Statistic, groups: int, n: int, method: Method = "bca", draws: int = DRAWS, level: float = 0.95, seed: int = 0
) -> Estimate | None:
    """The figure with its interval; `n` votes or pairs in `groups` prompts. None where the figure itself is undefined. One group says
    nothing about the spread: its interval is infinite. Draws whose figure is undefined are left out."""
    mean = statistic(np.ones(groups))
    if math.isnan(mean):
        return None
    if groups < 2:
        return Estimate(mean, -math.inf, math.inf, n, groups)
    figures_R = np.array([statistic(drawn(groups, seed, draw)) for draw in range(draws)])
    figures_R = figures_R[~np.isnan(figures_R)]
    edges = np.array([(1 - level) / 2, (1 + level) / 2])
    if method == "bca" and np.ptp(figures_R) > 0:
        edges = _moved(edges, mean, figures_R, acceleration(statistic, groups))
    low, high = np.quantile(figures_R, edges).tolist()
    return Estimate(mean, low, high, n, groups)


def drawn(groups: int, seed: int, draw: int) -> np.ndarray:
    """How often each group is drawn; they sum to the number of groups."""
    return np.bincount(stream("bootstrap", seed, draw).integers(groups, size=groups), minlength=groups).astype(float)


def acceleration(statistic: Statistic, groups: int) -> float:
    """How fast the spread changes with the figure; 0 for a symmetric one."""
    block_G = np.arange(groups) * min(groups, BLOCKS) // groups
    left = np.array([statistic((block_G != block).astype(float)) for block in range(min(groups, BLOCKS))])
    apart = np.nanmean(left) - left[~np.isnan(left)]
    square = float(apart @ apart)
    return float((apart**3).sum()) / (6 * square**1.5) if square > 0 else 0.0


def _moved(edges: np.ndarray, mean: float, figures_R: np.ndarray, a: float) -> np.ndarray:
    """The quantiles of the draws that are taken instead of `edges`."""
    below = ((figures_R < mean).sum() + (figures_R == mean).sum() / 2) / len(figures_R)
    z0 = float(special.ndtri(np.clip(below, 0.5 / len(figures_R), 1 - 0.5 / len(figures_R))))
    z = z0 + special.ndtri(edges)
    return special.ndtr(z0 + z / (1 - a * z))
