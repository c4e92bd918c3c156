"""The intervals behind every number in a report.

    rate:    Wilson's score interval (Wilson 1927), for independent yes/no outcomes
    mean:    m = sum(w x) / sum(w),   V(m) = G / (G - 1) * sum_g (sum_{i in g} w_i (x_i - m))^2 / (sum w)^2,   m +- t_{G-1} sqrt(V)
    paired:  the mean of the differences a_i - b_i of the same items, by the same rule

V is the cluster-robust variance (Liang & Zeger 1986) with the usual G / (G - 1) correction and Student's t with G - 1 degrees of
freedom: what statsmodels gives for a regression on a constant with `cov_type="cluster"`. Values that share a cluster (responses to one
prompt, tokens of one document) may depend on each other in any way; clusters must not. Without clusters each value is its own, and
the interval is the textbook t interval.

Where values share two things (the prompt, and the person who judged), V = V(first) + V(second) - V(both), and t has the smaller G - 1
degrees of freedom (Cameron, Gelbach & Miller 2011; Cameron & Miller 2015, section VI). That difference can come out below V(first) or
V(second), even below 0; it is then the larger of the two.

Degenerate cases, by definition: one cluster says nothing about the spread, so the interval is (-inf, inf); values without any spread
have an interval of width 0, which is why outcomes that are yes or no belong in `rate`, whose interval never closes. No value at all
is an error.
"""

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]


@dataclass(frozen=True)
class Estimate:
    """A figure with its interval; `n` values in `clusters` independent groups."""

    mean: float
    low: float
    high: float
    n: int
    clusters: int

    def plain(self) -> dict[str, float | int | None]:
        """For JSON: the interval of a single cluster, which is infinite, as null."""
        low, high = (edge if math.isfinite(edge) else None for edge in (self.low, self.high))
        return {"mean": self.mean, "low": low, "high": high, "n": self.n, "clusters": self.clusters}


def rate(successes: int, n: int, level: float = 0.95) -> Estimate:
    """The share of n independent trials that succeeded, with Wilson's interval. Raises ValueError unless 0 <= successes <= n and n > 0."""
    if not 0 <= successes <= n or n == 0:
        raise ValueError(f"{successes} successes in {n} trials; a rate needs at least one trial and no more successes than trials")
    low, high = _wilson(successes / n, n, level)
    return Estimate(successes / n, low, high, n, n)


def within(found: Estimate, low: float, high: float, level: float = 0.95) -> Estimate:
    """The same figure of values that lie between `low` and `high`, its interval too. Where there was no spread to go by (one cluster, or
    values all alike) it is Wilson's for as many yes/no outcomes as there are clusters: nothing within these ends spreads more around its
    mean."""
    edges = (found.low, found.high)
    if not math.isfinite(found.high - found.low) or found.low == found.high:
        edges = tuple(low + (high - low) * edge for edge in _wilson((found.mean - low) / (high - low), found.clusters, level))
    return replace(found, low=max(low, edges[0]), high=min(high, edges[1]))


def _wilson(p: float, n: int, level: float) -> tuple[float, float]:
    z = _normal(level)
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (0.0 if p == 0 else middle - half), (1.0 if p == 1 else middle + half)  # exactly, not 1e-17


def mean(
    values: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    weights: Sequence[float] | None = None,
    crossed: Sequence[Hashable] | None = None,
) -> Estimate:
    """The mean of n values with a cluster-robust interval; `weights` count values more or less (families equally, say), `crossed` are
    clusters of another kind (the annotator beside the prompt), across the first.

    Raises ValueError for no value, lists of different lengths, a value that isn't finite, weights that are negative or all zero.
    """
    x, w = np.asarray(values, float), np.ones(len(values)) if weights is None else np.asarray(weights, float)
    _check(x, w, *(len(kind) for kind in (clusters, crossed) if kind is not None))
    m = float(w @ x / w.sum())
    scores_N = w * (x - m) / w.sum()
    kinds = [np.arange(len(x)) if clusters is None else _numbered(clusters)]
    if crossed is not None:
        kinds.append(_numbered(crossed))
    groups = min(int(kind.max()) + 1 for kind in kinds)
    if groups == 1:
        return Estimate(m, -math.inf, math.inf, len(x), 1)
    parts = [_variance(scores_N, kind) for kind in kinds]
    if len(kinds) == 2:
        parts.append(sum(parts) - _variance(scores_N, _numbered(list(zip(*(kind.tolist() for kind in kinds), strict=True)))))
    half = float(special.stdtrit(groups - 1, (1 + level) / 2)) * math.sqrt(max(parts))
    return Estimate(m, m - half, m + half, len(x), groups)


def paired(
    a: Sequence[float],
    b: Sequence[float],
    clusters: Sequence[Hashable] | None = None,
    level: float = 0.95,
    weights: Sequence[float] | None = None,
) -> Estimate:
    """How much higher `a` is than `b` on the same items (a_i and b_i belong to the same prompt), clustered by prompt.

    Raises ValueError where the lists differ in length, and as `mean` does.
    """
    if len(a) != len(b):
        raise ValueError(f"{len(a)} values against {len(b)}; paired values come from the same items, in the same order")
    return mean((np.asarray(a, float) - np.asarray(b, float)).tolist(), clusters, level, weights)


def balanced(groups: Sequence[Hashable]) -> list[float]:
    """Weights under which each group counts the same, however many values it has; they sum to their number."""
    sizes: dict[Hashable, int] = {}
    for group in groups:
        sizes[group] = sizes.get(group, 0) + 1
    return [len(groups) / (len(sizes) * sizes[group]) for group in groups]


def _variance(scores_N: np.ndarray, group_N: np.ndarray) -> float:
    """G / (G - 1) times the sum of squares of the groups' sums."""
    groups = int(group_N.max()) + 1
    sums_G = np.bincount(group_N, weights=scores_N, minlength=groups)
    return groups / (groups - 1) * float(sums_G @ sums_G)


def _check(x: np.ndarray, w: np.ndarray, *clusters: int) -> None:
    if not len(x):
        raise ValueError("no values; a mean needs at least one")
    if len(w) != len(x) or any(n != len(x) for n in clusters):
        raise ValueError(
            f"{len(x)} values with {len(w)} weights and {' and '.join(map(str, clusters)) or 'no'} clusters; give one of each per value"
        )
    if not np.isfinite(x).all():
        raise ValueError(f"value {int(np.argmin(np.isfinite(x)))} is {x[~np.isfinite(x)][0]}; values must be finite")
    if not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise ValueError("weights must be finite, none negative, not all zero")


def _numbered(clusters: Sequence[Hashable]) -> np.ndarray:
    """Clusters as numbers from 0, by first occurrence."""
    number: dict[Hashable, int] = {}
    return np.array([number.setdefault(cluster, len(number)) for cluster in clusters])


def _normal(level: float) -> float:
    return float(special.ndtri((1 + level) / 2))
