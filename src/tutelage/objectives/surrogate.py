"""What PPO and GRPO share: the clipped surrogate of a token's advantage, the figures told beside it, and specimens.

    -min(rho A, clip(rho, 1 - low, 1 + high) A),   rho = pi(token) / pi_old(token)      Schulman et al., 1707.06347, eq. 7
    low and high of their own                                                           DAPO, Yu et al., 2503.14476, eq. 8

Shape suffixes: M tokens the policy wrote.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from tutelage.core.randomness import stream
from tutelage.data.tree import OTHER, POLICY, Tree

FIGURES = ("clip_share", "ratio", "k1", "k3")
"""Told beside the losses. k1 and k3 estimate KL(pi_old || pi) per token (Schulman 2020, "Approximating KL divergence"), both in nats."""


def clipped_policy_loss(ratio_M: Tensor, advantage_M: Tensor, low: float, high: float | None = None) -> Tensor:
    """[M] the surrogate with its sign turned: to be minimised. `high` None: as `low`."""
    limited_M = ratio_M.clamp(1 - low, 1 + (low if high is None else high))
    return -torch.minimum(ratio_M * advantage_M, limited_M * advantage_M)


def policy_figures(log_ratio_M: Tensor, advantage_M: Tensor, low: float, high: float | None = None) -> dict[str, Tensor]:
    """Sums of `FIGURES`, without gradient. A token is clipped where the limit took its gradient away."""
    log_ratio_M = log_ratio_M.detach()
    ratio_M = log_ratio_M.exp()
    clipped_M = torch.where(advantage_M > 0, ratio_M > 1 + (low if high is None else high), (advantage_M < 0) & (ratio_M < 1 - low))
    return {
        "clip_share": clipped_M.to(ratio_M.dtype).sum(),
        "ratio": ratio_M.sum(),
        "k1": -log_ratio_M.sum(),
        "k3": (ratio_M - 1 - log_ratio_M).sum(),
    }


def rollout_specimens(name: str, columns: Mapping[str, tuple[float, float]]) -> list[Tree]:
    """One to four responses per prompt, ragged, of one token, cut short, and one with a tool's words in its middle. `columns` give mean
    and width of the numbers that each token has beside it."""
    shapes = [(3, (4,)), (1, (1, 6)), (5, (2, 1, 7)), (2, (3, 5, 1, 2))]
    trees = [_specimen(f"{name}-{n}", (name, n), prompt, lengths, columns) for n, (prompt, lengths) in enumerate(shapes)]
    return [*trees, _specimen(f"{name}-9", (name, 9), 4, (5, 3), columns, other=(1, 2))]


def _specimen(
    id: str,
    address: tuple[str, int],
    prompt: int,
    lengths: tuple[int, ...],
    columns: Mapping[str, tuple[float, float]],
    other: tuple[int, ...] = (),
) -> Tree:
    draw = stream("specimen", *address)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(int(i) for i in draw.integers(3, 64, length))

    def normal(mean: float, width: float) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(x) for x in draw.normal(mean, width, length)) for length in lengths)

    writers = tuple(tuple(OTHER if k == 0 and i in other else POLICY for i in range(length)) for k, length in enumerate(lengths))
    drawn = {name: normal(*shape) for name, shape in columns.items()}
    finished = tuple(k % 2 == 0 for k in range(len(lengths)))
    return Tree(ids(prompt), tuple(map(ids, lengths)), writers, finished, drawn, id=id)
