"""Dawid-Skene: what is true, and how each annotator gets it wrong, from votes alone.

    P(z_i = c) = p_c,    P(annotator w says l | z_i = c) = C_w[c, l]
    E:  q_i[c]  ~  p_c * product over votes (w, l) on i of C_w[c, l]
    M:  p_c  =  mean_i q_i[c],     C_w[c, l]  ~  s (1, or 4 where l = c) + sum over votes (w, i, l) of q_i[c]

Source: Dawid & Skene 1979 (Applied Statistics 28). `model="one_coin"`: one number per annotator, C_w[c, c] = a_w and the rest shared
equally. Begins with the shares of the votes and goes to convergence. A vote's weight multiplies its logarithm and its count.

Four things are ours. `smoothing` s adds votes to every cell, one where wrong and four where right (a Dirichlet prior, so EM still
climbs: the log-posterior never falls). A person with three votes has no certain matrix; and without a little trust that people mostly
mean well three who agree on a single item would leave it at one half, since all three might be flippers. 0 gives the plain model, the
one that crowd-kit has. `mirror` is a
permutation of the labels under which nothing may change: which of two responses is called "first" is chance, so matrices and
priors are averaged with their mirror image, which leaves, without ties, the one-coin model. Only items that two people judged are
fitted; the others get one E-step at the end. A lone vote agrees with nobody, so it says nothing of how good its author is; left in the
M-step it would confirm that person by its own posterior, less at every step and so slowly that what is found depends on where EM stops.
(With two mirrored labels it has exactly no information, and this is what EM on all items goes to; else it still has a little, of how
often each label is said, and is left out all the same.) And both steps are a product with one sparse matrix [I, W * L] of votes, 100,000
of which take a few milliseconds a step.

Where no item was judged by two, nothing can be fitted: everybody is believed as the prior says and every class is as likely, so the
likeliest label is the one vote, which is the majority's, 0.8 sure of two labels. Somebody who shares no item with others is believed
so too. Without smoothing there is no prior, and such votes are taken at their word.

N votes, I items, W annotators, L labels said, C = L classes true.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from scipy import sparse  # pyright: ignore[reportMissingTypeStubs]

from tutelage.feedback.agreement.votes import FIRST, SECOND, Votes

Model = Literal["full", "one_coin"]
Matrix = Any
"""A sparse matrix; scipy gives it no type."""
TINY = 1e-10
"""Least probability that an annotator says anything, as in crowd-kit."""
TRUST = 4.0
"""Votes for being right, for each vote for being wrong in one way, that everybody begins with: a chance of 0.8 of two labels."""


@dataclass(frozen=True)
class DawidSkene:
    """What was found."""

    posterior_IC: np.ndarray
    """How likely each class is on each item; `prior_C` where there was no vote."""
    confusion_WCL: np.ndarray
    """[w, c, l]: how often w says l where c is true."""
    prior_C: np.ndarray
    """How often each class is true of the items that two people judged; one that none of them has is thought impossible."""
    log_posterior: tuple[float, ...]
    """Of these items, after each step; it never falls. Empty where there are none."""
    converged: bool
    """Whether the last step moved no posterior by more than the tolerance."""
    fitted: int
    """How many items two people judged, and all but the posteriors of the others rests on."""

    @property
    def accuracy_W(self) -> np.ndarray:
        """How often each annotator would be right, over items like these."""
        return np.diagonal(self.confusion_WCL, axis1=1, axis2=2) @ self.prior_C


def dawid_skene(
    votes: Votes,
    model: Model = "full",
    smoothing: float = 1.0,
    mirror: Sequence[int] | None = None,
    tolerance: float = 1e-9,
    most: int = 2000,
) -> DawidSkene:
    """Fit to the items with votes of two people, in at most `most` steps. ValueError without any vote."""
    if not len(votes):
        raise ValueError("no votes; Dawid-Skene needs at least one")
    said, shared_I = _said(votes), _shared(votes)
    known, fitted = said[shared_I], int(shared_I.sum())
    posterior, climbed, moved = votes.share_IL[shared_I], list[float](), np.inf if fitted else 0.0
    confusion, prior = _maximized(known, posterior, model, smoothing, mirror)
    while moved > tolerance and len(climbed) < most:
        before, (posterior, evidence) = posterior, _expected(known, confusion, prior)
        climbed.append(evidence + _log_prior(confusion, model, smoothing))
        confusion, prior = _maximized(known, posterior, model, smoothing, mirror)
        moved = float(np.abs(posterior - before).max())
    posterior_IC = _expected(said, confusion, prior)[0]
    posterior_IC[shared_I] = posterior
    return DawidSkene(posterior_IC, confusion, prior, tuple(climbed), moved <= tolerance, fitted)


def mirror_of(votes: Votes) -> tuple[int, ...] | None:
    """For votes on pairs the labels with first and second changed over; None for other votes."""
    return (1, 0, 2)[: len(votes.labels)] if votes.labels[:2] == (FIRST, SECOND) else None


def _said(votes: Votes) -> Matrix:
    """Weight of votes [I, W * L] by item and by who said what."""
    shape = len(votes.items), len(votes.workers) * len(votes.labels)
    column_N = votes.worker_N * len(votes.labels) + votes.label_N
    return sparse.coo_array((votes.weight_N, (votes.item_N, column_N)), shape=shape).tocsr()


def _shared(votes: Votes) -> np.ndarray:
    """Which items two people judged; one who judged twice is one."""
    pairs = np.unique(votes.item_N * len(votes.workers) + votes.worker_N)
    return np.bincount(pairs // len(votes.workers), minlength=len(votes.items)) >= 2


def _by_said(table_WCL: np.ndarray) -> np.ndarray:
    """[W, C, L] as [W * L, C]."""
    return table_WCL.transpose(0, 2, 1).reshape(-1, table_WCL.shape[1])


def _expected(said: Matrix, confusion_WCL: np.ndarray, prior_C: np.ndarray) -> tuple[np.ndarray, float]:
    """Posteriors [I, C], and the logarithm of the chance of all votes."""
    log_IC: np.ndarray = said @ _by_said(np.log(confusion_WCL)) + np.log(np.maximum(prior_C, 1e-300))
    top_I = log_IC.max(1)
    evidence_I = top_I + np.log(np.exp(log_IC - top_I[:, None]).sum(1))
    return np.exp(log_IC - evidence_I[:, None]), float(evidence_I.sum())


def _maximized(
    said: Matrix, posterior_IC: np.ndarray, model: Model, smoothing: float, mirror: Sequence[int] | None
) -> tuple[np.ndarray, np.ndarray]:
    """Matrices and priors that fit the posterior best. Who said nothing here is believed as the prior says, without one to the word."""
    size = posterior_IC.shape[1]
    counts_WCL: np.ndarray = (said.T @ posterior_IC).reshape(-1, size, size).transpose(0, 2, 1)
    prior = posterior_IC.mean(0) if len(posterior_IC) else np.full(size, 1 / size)
    if smoothing == 0:
        counts_WCL = np.where(counts_WCL.sum((1, 2), keepdims=True) > 0, counts_WCL, np.eye(size))
    if mirror is not None:
        counts_WCL = (counts_WCL + counts_WCL[:, mirror][:, :, mirror]) / 2
        prior = (prior + prior[list(mirror)]) / 2
    if model == "one_coin":
        return _one_coin(counts_WCL, smoothing), prior
    counts_WCL = np.maximum(counts_WCL + smoothing * _trusting(size), TINY)
    return counts_WCL / counts_WCL.sum(2, keepdims=True), prior


def _one_coin(counts_WCL: np.ndarray, smoothing: float) -> np.ndarray:
    size = counts_WCL.shape[1]
    right_W = np.diagonal(counts_WCL, axis1=1, axis2=2).sum(1) + TRUST * smoothing
    total_W = counts_WCL.sum((1, 2)) + (TRUST + size - 1) * smoothing
    accuracy_W: np.ndarray = right_W / np.maximum(total_W, 1e-300)
    wrong_W = (1 - accuracy_W) / max(size - 1, 1)
    table = wrong_W[:, None, None] + np.eye(size) * (accuracy_W - wrong_W)[:, None, None]
    return np.clip(table, TINY, 1 - TINY) if size > 1 else np.ones_like(table)


def _trusting(size: int) -> np.ndarray:
    """The votes [C, L] that everybody begins with."""
    return np.where(np.eye(size, dtype=bool), TRUST, 1.0)


def _log_prior(confusion_WCL: np.ndarray, model: Model, smoothing: float) -> float:
    """What smoothing adds to the log-likelihood: the logarithm of its Dirichlet, but for a constant."""
    size = confusion_WCL.shape[1]
    if model == "full" or size == 1:
        return smoothing * float((_trusting(size) * np.log(confusion_WCL)).sum())
    right_W = confusion_WCL[:, 0, 0]
    return smoothing * float((TRUST * np.log(right_W) + (size - 1) * np.log1p(-right_W)).sum())
