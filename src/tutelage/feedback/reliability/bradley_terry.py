"""Bradley-Terry with ties and annotators: how good each response is, and how far each annotator can be believed.

    P(i > j) = e^(d/2) / Z,   P(i = j) = nu / Z,   Z = e^(d/2) + e^(-d/2) + nu,   d = s_i - s_j           Davidson 1970, eq. 4
    P(w says i > j) = a_w P(i > j) + (1 - a_w) P(j > i),    P(w says i = j) = P(i = j)                    Chen et al. 2013, eq. 4

(JASA 65:317; crowd-BT, WSDM 2013: there without ties.) a_w is how often w reports an order as it is and not turned around: 1 is
honest, 1/2 is noise, below it is somebody who answers the opposite. Strengths are compared within a prompt only. Where somebody wins
every comparison the likelihood has no maximum, so strengths (and log nu) have a normal prior: `ridge` / 2 * s^2, and s sums to zero
within a prompt. a_w has the prior of `smoothing` votes for either side.

Fitted by EM: which votes were turned around is the hidden part; given it the model is Davidson's, concave, of which one damped Newton
step is taken, by item and not by vote. Without `annotators` all are honest and it is Newton's method.

N votes, I items (pairs of responses), R responses, W annotators.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]
from scipy.sparse import linalg  # pyright: ignore[reportMissingTypeStubs]

from tutelage.feedback.agreement.votes import FIRST, SECOND, TIE, Votes, numbered

Matrix = Any
"""A sparse matrix; scipy gives it no type."""
Solve = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class BradleyTerry:
    """What was found."""

    strength_R: np.ndarray
    """Log-odds; they sum to 0 within a prompt."""
    responses: tuple[tuple[str, str], ...]
    """(prompt id, response id) of each response."""
    first_I: np.ndarray
    """How likely the first response of each pair is the better one; a tie counts half for either."""
    tie_I: np.ndarray
    """How likely each pair would be called a tie."""
    reliability_W: np.ndarray
    """a_w: how often each annotator reports an order as it is."""
    nu: float
    """How readily people call ties; 0 where nobody does."""
    converged: bool


@dataclass(frozen=True)
class _State:
    strength_R: np.ndarray
    theta: float
    """Log of nu."""
    reliability_W: np.ndarray


def bradley_terry(
    votes: Votes, ridge: float = 0.5, annotators: bool = True, smoothing: float = 1.0, tolerance: float = 1e-7, most: int = 1000
) -> BradleyTerry:
    """Fit to votes on pairs. ValueError where there are none, where they are of another kind, or where `ridge` isn't above 0."""
    if not len(votes) or votes.labels[:2] != (FIRST, SECOND):
        raise ValueError("Bradley-Terry needs at least one vote, on pairs of responses: first, second or tie")
    if ridge <= 0:
        raise ValueError(f"ridge {ridge}: without a prior the strength of what always wins is infinite; give more than 0")
    pair_I2, responses = _places(votes)
    design = _design(pair_I2, len(responses))
    ties = TIE in votes.labels
    state = _State(np.zeros(len(responses)), 0.0 if ties else -np.inf, np.full(len(votes.workers), 1.0 if not annotators else 0.9))
    converged, steps = False, 0
    while not converged and steps < most:
        told_I3, reliability_W = _expected(votes, state, design, annotators, smoothing)
        strength_R, theta = _climbed(told_I3, state, design, ridge)
        moved = max(
            _apart(strength_R, state.strength_R), _apart(reliability_W, state.reliability_W), abs(theta - state.theta) if ties else 0
        )
        state, converged, steps = _State(strength_R, theta, reliability_W), moved <= tolerance, steps + 1
    first_I, _, tie_I = _chances(design @ state.strength_R, state.theta)
    better_I = first_I + tie_I / 2
    return BradleyTerry(state.strength_R, responses, better_I, tie_I, state.reliability_W, float(np.exp(state.theta)), converged)


def _places(votes: Votes) -> tuple[np.ndarray, tuple[tuple[str, str], ...]]:
    """The two responses of each item, by number, and all responses."""
    named = [(item[0], response) for item in votes.items for response in item[1:3]]
    place, responses = numbered(named)
    return place.reshape(-1, 2), responses


def _design(pair_I2: np.ndarray, responses: int) -> Matrix:
    """[I, R] with 1 at the first and -1 at the second response."""
    row = np.repeat(np.arange(len(pair_I2)), 2)
    signs = np.tile([1.0, -1.0], len(pair_I2))
    return sparse.coo_array((signs, (row, pair_I2.ravel())), shape=(len(pair_I2), responses)).tocsr()


def _chances(d_I: np.ndarray, theta: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """P(first better), P(second better), P(tie)."""
    logs_I3 = np.stack([d_I / 2, -d_I / 2, np.full_like(d_I, theta)], 1)
    table_I3 = np.exp(logs_I3 - logs_I3.max(1, keepdims=True))
    table_I3 /= table_I3.sum(1, keepdims=True)
    return table_I3[:, 0], table_I3[:, 1], table_I3[:, 2]


def _expected(votes: Votes, state: _State, design: Matrix, annotators: bool, smoothing: float) -> tuple[np.ndarray, np.ndarray]:
    """Votes [I, 3] for first, second and tie as they would be had nobody turned an order around, and how reliable each one then is."""
    first_I, second_I, _ = _chances(design @ state.strength_R, state.theta)
    says_first_N, decided_N, weight_N = votes.label_N == 0, votes.label_N < 2, votes.weight_N
    straight_N = np.ones(len(votes))
    reliability_W = state.reliability_W
    if annotators:
        said_N = np.where(says_first_N, first_I[votes.item_N], second_I[votes.item_N])
        turned_N = np.where(says_first_N, second_I[votes.item_N], first_I[votes.item_N])
        a_N = state.reliability_W[votes.worker_N]
        straight_N = a_N * said_N / np.maximum(a_N * said_N + (1 - a_N) * turned_N, 1e-300)
        straight_W = np.bincount(votes.worker_N, decided_N * weight_N * straight_N, len(votes.workers))
        total_W = np.bincount(votes.worker_N, decided_N * weight_N, len(votes.workers))
        reliability_W = (straight_W + smoothing) / np.maximum(total_W + 2 * smoothing, 1e-300)
    for_first_N = np.where(says_first_N, straight_N, 1 - straight_N) * decided_N
    columns = (for_first_N, decided_N - for_first_N, ~decided_N)
    return np.stack([np.bincount(votes.item_N, weight_N * column, len(votes.items)) for column in columns], 1), reliability_W


def _objective(told_I3: np.ndarray, strength_R: np.ndarray, theta: float, design: Matrix, ridge: float) -> float:
    logs_I3 = np.log(np.maximum(np.stack(_chances(design @ strength_R, theta), 1), 1e-300))
    prior = ridge / 2 * (float(strength_R @ strength_R) + (theta**2 if np.isfinite(theta) else 0.0))
    return float((told_I3 * logs_I3).sum()) - prior


def _climbed(told_I3: np.ndarray, state: _State, design: Matrix, ridge: float) -> tuple[np.ndarray, float]:
    """One Newton step, halved until the objective doesn't fall."""
    before = _objective(told_I3, state.strength_R, state.theta, design, ridge)
    step_R, step = _newton(told_I3, state, design, ridge)
    for halving in range(40):
        strength_R, theta = state.strength_R + step_R / 2**halving, state.theta + step / 2**halving
        if _objective(told_I3, strength_R, theta, design, ridge) >= before - 1e-12 * abs(before):
            return strength_R, theta
    return state.strength_R, state.theta


def _newton(told_I3: np.ndarray, state: _State, design: Matrix, ridge: float) -> tuple[np.ndarray, float]:
    """The step to the maximum of the second-order expansion: strengths by a sparse solve, log nu by its Schur complement."""
    first_I, second_I, tie_I = _chances(design @ state.strength_R, state.theta)
    count_I, ahead_I = told_I3.sum(1), first_I - second_I
    slope_R = design.T @ ((told_I3[:, 0] - told_I3[:, 1] - count_I * ahead_I) / 2) - ridge * state.strength_R
    bend_I = count_I * (first_I + second_I - ahead_I**2) / 4
    diagonal, ones = (sparse.coo_array((x, (range(len(x)),) * 2)) for x in (bend_I, np.full(len(slope_R), ridge)))
    matrix: Matrix = design.T @ diagonal @ design + ones
    solve: Solve = cast(Any, linalg).splu(matrix, permc_spec="MMD_AT_PLUS_A", options={"SymmetricMode": True}).solve
    if not np.isfinite(state.theta):
        return solve(slope_R), 0.0
    cross_R = design.T @ (count_I * tie_I * ahead_I / 2)
    slope = float((told_I3[:, 2] - count_I * tie_I).sum()) - ridge * state.theta
    bend = float((count_I * tie_I * (1 - tie_I)).sum()) + ridge
    along_R, across_R = solve(slope_R), solve(cross_R)
    step = (slope + float(cross_R @ along_R)) / (bend - float(cross_R @ across_R))
    return along_R + across_R * step, step


def _apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a - b).max())
